#!/usr/bin/env bash
# Own a build folder, once no other make does: lock.sh FOLDER PID, where PID is the make's. A folder is owned as long as
# its owner lives, so that what a kill leaves behind is not in the way. Exit code 3: its name is not UTF-8.
set -u
folder=$1 make=$2

if command -v iconv >/dev/null && ! printf %s "$folder" | iconv -f UTF-8 >/dev/null 2>&1; then
    exit 3
fi

# When a process that lives was started: with it a later process of the same number is another.
started() {
    local stat fields
    if [ -r /proc/self/stat ]; then
        stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
        # After the name, which may hold anything: state, and 18 fields later the start.
        read -r -a fields <<<"${stat##*) }"
        [ "${fields[0]}" != Z ] && echo "${fields[19]}"
    else
        ps -o lstart= -p "$1" | tr -d ' '
    fi
}
# Numbers mean other processes on another machine, after a restart, and in another container.
world=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || uname -n):$(readlink /proc/self/ns/pid)

waited=
while :; do
    # Where nothing can be written nothing can be built; the recipe says so.
    { mkdir -p "$folder" && exec 9>>"$folder/.lock"; } 2>/dev/null || exit 0
    ! command -v flock >/dev/null || flock 9
    read -r owner began place <"$folder/.lock" || [ -n "${owner:-}" ] || break
    [ "$owner" != "$make" ] && [ "$place" = "$world" ] && [ "$(started "$owner")" = "$began" ] || break
    exec 9>&-
    [ -n "$waited" ] || echo "waiting for make $owner, which builds in $folder" >&2
    waited=yes
    sleep 0.2
done
echo "$make $(started "$make") $world" 2>/dev/null >"$folder/.lock" || exit 0
