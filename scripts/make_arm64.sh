#!/usr/bin/env bash
# Make a folder in which arm64 programs run on this machine, by emulation, or say what is missing:
# make_arm64.sh FOLDER PYTHON. It holds Debian's libraries and Python, and in site/ the packages that PYTHON has, for arm64.
# FOLDER/emulate PROGRAM ARGUMENTS starts one.
set -eu
folder=$1 python=$2
# In the version that PYTHON has; whatever serves graphs needs no others.
packages="numpy onnxruntime flatbuffers protobuf packaging executorch"
for command in qemu-aarch64-static debootstrap dpkg; do
    if ! command -v "$command" >/dev/null; then
        echo "error: $command is missing; install it (Debian: apt-get install qemu-user-static debootstrap)." >&2
        exit 2
    fi
done
rm -rf "$folder.new"
mkdir -p "$folder.new"
root=$(realpath "$folder.new")
# shellcheck disable=SC2016  # apt-get fills in the name itself
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -1 || :)
debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,libgomp1,libstdc++6 bookworm "$root" \
    ${mirror:+"$mirror"} >"$root/debootstrap.log" || {
    echo "error: debootstrap failed; see $folder.new/debootstrap.log. It needs Debian's archive and root's rights." >&2
    exit 2
}
# Unpacked, not installed: nothing of it is to run but Python and its libraries.
for package in "$root"/var/cache/apt/archives/*.deb; do dpkg --extract "$package" "$root"; done
rm -rf "$root/var/cache/apt" "$root/var/lib/apt" "$root/debootstrap"

# ONNX Runtime asks for the processor in these files, and ends in a segmentation fault where they are of x86.
for number in 0 1; do
    mkdir -p "$root/proc" "$root/sys/devices/system/cpu/cpu$number/topology" \
        "$root/sys/devices/system/cpu/cpu$number/cpufreq"
    {
        printf 'processor\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\n' "$number"
        printf 'CPU part\t: 0xd0c\nCPU revision\t: 1\n'
        printf 'Features\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n\n'
    } >>"$root/proc/cpuinfo"
    cpu=$root/sys/devices/system/cpu/cpu$number
    for name in core_id cluster_cpus_list; do echo "$number" >"$cpu/topology/$name"; done
    for name in core_cpus_list core_siblings_list package_cpus_list thread_siblings_list; do
        echo 0-1 >"$cpu/topology/$name"
    done
    echo 0 >"$cpu/topology/physical_package_id"
    echo 2000000 >"$cpu/cpufreq/cpuinfo_max_freq"
    echo 1000000 >"$cpu/cpufreq/cpuinfo_min_freq"
done

interpreter=$(basename "$(echo "$root"/usr/bin/python3.[0-9]*)")
platforms=()
for version in 2_17 2_24 2_26 2_27 2_28 2_31 2_34 2_35; do platforms+=(--platform "manylinux_${version}_aarch64"); done
platforms+=(--platform manylinux2014_aarch64)
for name in $packages; do
    version=$("$python" -c "from importlib.metadata import version; print(version('$name').split('+')[0])")
    "$python" -m pip install --quiet --no-deps --target "$root/site" --only-binary=:all: --implementation cp \
        --python-version "${interpreter#python}" "${platforms[@]}" "$name==$version"
done

# A Neoverse N1, for the oldest instructions that phones of today all have, int8 dot products among them.
cat >"$root/emulate" <<'RUN'
#!/usr/bin/env bash
root=$(dirname "$(realpath "$0")")
program=$1
shift
[ "$program" = python ] && program=$root/usr/bin/PYTHON
exec qemu-aarch64-static -cpu neoverse-n1 -L "$root" -E PYTHONPATH="$root/site" -E PYTHONDONTWRITEBYTECODE=1 \
    -E LD_LIBRARY_PATH="$root/site/executorch/lib:$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu" \
    -E OMP_NUM_THREADS=1 "$program" "$@"
RUN
sed -i "s/PYTHON\$/$interpreter/" "$root/emulate"
chmod +x "$root/emulate"
rm -rf "$folder"
mv "$folder.new" "$folder"
