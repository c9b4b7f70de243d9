#!/bin/bash
# Makes one bootable disk image; lab.Disk runs it in a mount namespace of its own (unshare --mount), so that no mount
# outlives it however it ends. The environment names: TAR the root, OUT the image, SIZE its bytes, SWAP and TAIL (left free at the end) in MiB, AGENT the
# lab's agent, HOST the host name, FILES and BIG the fixture, CMDLINE kernel words, MODULES and COMPRESSLEVEL for
# initramfs-tools (empty: Debian's defaults), MODULELIST for MODULES=list, MASK systemd units.
set -euo pipefail
root=$(mktemp -d)
loop=
cleanup() {
	set +e
	cd /
	# A program of ours that was just killed may hold the root or a partition for a moment. What is held for longer is left
	# attached for lab.Disk, which frees it when this mount namespace is gone: once detached it could not be found again.
	for _ in {1..20}; do
		umount --recursive --quiet "$root"
		[ -z "$loop" ] && break
		partx --delete "$loop" 2>/dev/null
		if ! compgen -G "/sys/block/${loop##*/}/${loop##*/}p*" >/dev/null; then
			losetup --detach "$loop"
			break
		fi
		sleep 0.2
	done
	rmdir "$root"
}
trap cleanup EXIT
trap 'exit 1' TERM INT

truncate --size="$SIZE" "$OUT"
# Without -q, which makes sgdisk do nothing.
sgdisk --new=1:2048:+1M --typecode=1:ef02 --change-name=1:bios \
	--new=3:-"$((SWAP + TAIL))M":+"${SWAP}M" --typecode=3:8200 --change-name=3:swap \
	--new=2:0:-"$((SWAP + TAIL + 1))M" --typecode=2:8300 --change-name=2:root "$OUT"
loop=$(losetup --find --show "$OUT")
echo "loop device: $loop"
# Partitions that an earlier user of this loop device left behind outlive its detaching: the kernel forgets them only when
# the device was made with --partscan, which does not find any on a host without partition parsers.
partx --delete "$loop" 2>/dev/null || true
partx --add "$loop"
mke2fs -q -F -t ext4 -L root "${loop}p2"
mkswap --label swap "${loop}p3" >/dev/null
mount -t ext4 "${loop}p2" "$root"
tar --zstd --xattrs --xattrs-include='*' -xpf "$TAR" -C "$root"

root_uuid=$(blkid -o value -s UUID "${loop}p2")
swap_uuid=$(blkid -o value -s UUID "${loop}p3")
cat >"$root/etc/fstab" <<EOF
# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
# / was on /dev/vda2 during installation
UUID=$root_uuid /               ext4    errors=remount-ro 0       1
# swap was on /dev/vda3 during installation
UUID=$swap_uuid none            swap    sw              0       0
EOF
cat >"$root/etc/default/grub" <<EOF
# If you change this file, run 'update-grub' afterwards to update
# /boot/grub/grub.cfg.
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=\`lsb_release -i -s 2> /dev/null || echo Debian\`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="$CMDLINE"
GRUB_TERMINAL="serial"
GRUB_SERIAL_COMMAND="serial --speed=115200 --unit=0"
GRUB_DISABLE_OS_PROBER=true
EOF
echo "$HOST" >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$HOST" >"$root/etc/hosts"
# A machine without an id runs its first boot's presets; this one has been installed.
systemd-machine-id-setup --root="$root" 2>/dev/null ||
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
echo root:root | chroot "$root" chpasswd
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d"
cat >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf" <<'EOF'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 - dumb
EOF

install -m 755 "$AGENT" "$root/usr/local/sbin/lab-agent"
cat >"$root/etc/systemd/system/lab-agent.service" <<'EOF'
[Unit]
Description=Lab agent (a test aid)
DefaultDependencies=no

[Service]
ExecStart=/usr/local/sbin/lab-agent
StandardError=journal+console
OOMScoreAdjust=-900

[Install]
WantedBy=sysinit.target emergency.target rescue.target
EOF
chroot "$root" systemctl --quiet enable lab-agent.service
if [ -n "$MASK" ]; then
	# shellcheck disable=SC2086 # a list
	chroot "$root" systemctl --quiet mask $MASK
fi
"$AGENT" fixture "$root/srv/fixture" "$FILES" "$BIG"

# A /dev of its own: grub-mkconfig writes root=UUID= only when /dev/disk/by-uuid has it, and the host has no udev.
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom "$loop" "${loop}"p? "$root/dev/"
ln -s /proc/self/fd "$root/dev/fd"
mkdir -p "$root/dev/disk/by-uuid"
ln -s "../../${loop##*/}p2" "$root/dev/disk/by-uuid/$root_uuid"
ln -s "../../${loop##*/}p3" "$root/dev/disk/by-uuid/$swap_uuid"

if [ -n "$MODULES" ]; then
	sed -i "s/^MODULES=.*/MODULES=$MODULES/" "$root/etc/initramfs-tools/initramfs.conf"
	# shellcheck disable=SC2086 # a list
	printf '%s\n' $MODULELIST >>"$root/etc/initramfs-tools/modules"
fi
if [ -n "$COMPRESSLEVEL" ]; then
	sed -i "s/^#* *COMPRESSLEVEL=.*/COMPRESSLEVEL=$COMPRESSLEVEL/" "$root/etc/initramfs-tools/initramfs.conf"
	grep -q ^COMPRESSLEVEL= "$root/etc/initramfs-tools/initramfs.conf" ||
		echo "COMPRESSLEVEL=$COMPRESSLEVEL" >>"$root/etc/initramfs-tools/initramfs.conf"
fi
if [ -n "$MODULES$COMPRESSLEVEL" ]; then
	chroot "$root" update-initramfs -u -k all
fi
chroot "$root" grub-install --target=i386-pc --recheck "$loop"
# It names the host's loop device; a machine installed the usual way has none.
rm -f "$root/boot/grub/device.map"
chroot "$root" update-grub
sync --file-system "$root"
echo "root $root_uuid swap $swap_uuid"
