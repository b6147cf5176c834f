#!/bin/sh
# Ends before it said anything.
echo "libcamera.so.3: cannot open shared object file" >&2
exit 3
