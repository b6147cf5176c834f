/**
 * The program as a service of systemd. Stands alone.
 *
 * @module
 */
export { makeNotifier, type Notifier, type NotifierOptions } from "./notify.ts";
export { CONFIG_ROOT, type KnownDevice, type ServiceFacts, type ServiceFile, serviceFiles, STATE_DIR } from "./unit.ts";
export { applyService, removeService, ServiceError, type Step, type System, systemOf } from "./install.ts";
