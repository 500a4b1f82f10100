#!/bin/sh
# Written by Haechi at every start. It carries words between git and the server
# over descriptors that the server has opened for this one push; the server decides.
if [ "${0##*/}" = proc-receive ]; then
	exec 7<&0
	cat <&7 >&5 &
	exec cat <&6
fi
{
	printf '%s\0%s\0%s\0' "${0##*/}" "$GIT_QUARANTINE_PATH" "${GIT_PUSH_OPTION_COUNT:-0}"
	n=0
	while [ "$n" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
		eval "printf '%s\0' \"\$GIT_PUSH_OPTION_$n\""
		n=$((n + 1))
	done
	cat
	printf '\0'
} >&3
while IFS= read -r line <&4; do
	case $line in
	accept) exit 0 ;;
	refuse) exit 1 ;;
	*) printf '%s\n' "${line#:}" >&2 ;;
	esac
done
exit 1
