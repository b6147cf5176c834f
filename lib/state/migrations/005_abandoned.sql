-- Given up after an upload was begun: what the target has of it under a temporary name is to be removed. `started` ends that.
CREATE INDEX delivery_abandoned ON delivery (target_id) WHERE state = 'forgotten' AND started = 1;
