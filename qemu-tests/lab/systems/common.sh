# Lays an installed Debian out over the disks of a System; lab.System runs it as root inside a guest that is itself such a
# Debian, with real drivers and tools, and copies itself as an administrator would by hand. What follows this text defines
# - layers: partitions and layers on the disks $D1, $D2 ..., mounted below $N;
# - tables: prints fstab;
# - release: takes the layers apart again;
# and may define settings: more files in $N, before the initrd is made. The builder's own initrd has the drivers of all layers
# and the tools of LVM: only what has settings of its own inside needs another, and says INITRD=new.
set -euo pipefail
N=/mnt/new
export LC_ALL=C.UTF-8
mkdir -p $N
settings() { :; }
INITRD=

# part DISK N is the node of a partition.
part() {
	local d
	d=$(readlink -f "$1")
	case $d in *[0-9]) echo "${d}p$2" ;; *) echo "$d$2" ;; esac
}

# mbr DISK reads sfdisk's lines of a partition table with room for GRUB before the first partition.
mbr() { { echo label: dos; cat; } | sfdisk --quiet --wipe always --wipe-partitions always "$1"; udevadm settle; }
gpt() { { echo label: gpt; cat; } | sfdisk --quiet --wipe always --wipe-partitions always "$1"; udevadm settle; }

# id NODE is the UUID of what it holds.
id() { blkid -p -o value -s UUID "$1"; }

# at NODE DIR mounts a filesystem into the new system.
at() { mkdir -p "$N$2"; mount "$1" "$N$2"; }

build() {
	echo 0 >/proc/sys/kernel/printk || true
	layers
	findmnt -R "$N"
	# One filesystem: what the builder has mounted elsewhere stays.
	cp -ax /. "$N"
	rm -rf "$N/mnt/new" "$N/root/build.sh" "$N"/var/log/journal/*
	tables >"$N/etc/fstab"
	echo "$NAME" >"$N/etc/hostname"
	printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$NAME" >"$N/etc/hosts"
	# A bind without what is mounted below it can be unmounted again at once, and then nothing holds the layers.
	for d in dev proc sys run; do mount --bind "/$d" "$N/$d"; done
	settings
	[ -z "$INITRD" ] || chroot "$N" update-initramfs -u -k all
	for d in $GRUB; do chroot "$N" grub-install --target=i386-pc --recheck "$d"; done
	rm -f "$N/boot/grub/device.map"
	chroot "$N" update-grub
	# The disks that the system will see at the places where the builder has them one further.
	printf 'grub-pc grub-pc/install_devices multiselect %s\n' "$DEBCONF" | chroot "$N" debconf-set-selections
	for d in dev proc sys run; do umount -R "$N/$d"; done
	grep "insmod\|set root\|search\|linux[[:space:]]" "$N/boot/grub/grub.cfg" | sort -u
	umount -R "$N"
	sync
	udevadm settle
	# udev may look at a device for a moment longer.
	for n in 1 2 3 4 5 6; do
		! release || return 0
		sleep 2
	done
	return 1
}
