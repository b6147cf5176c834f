#!/bin/sh
# Says nothing, reads nothing, and does not want to end.
trap '' TERM INT HUP
while :; do sleep 1000; done
