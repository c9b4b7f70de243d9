# Two disks with MBR; every partition is half of a RAID1: /boot (with $BOOT=separate), /, swap.
INITRD=new

layers() {
	local parts=/tmp/parts d
	: >$parts
	[ "$BOOT" != separate ] || echo "size=256MiB, type=fd, bootable" >>$parts
	echo "size=96MiB, type=fd" >>$parts
	echo "type=fd" >>$parts
	for d in "$D1" "$D2"; do mbr "$d" <$parts; done
	local n=1
	if [ "$BOOT" = separate ]; then
		mirror md0 1
		mkfs.ext4 -q /dev/md0
		n=2
	fi
	mirror md1 $n
	mkswap -q /dev/md1
	mirror md2 $((n + 1))
	mkfs.ext4 -q /dev/md2
	at /dev/md2 /
	[ "$BOOT" != separate ] || at /dev/md0 /boot
}

# mirror NAME PARTITION: both members are the same from the beginning, as after a resync.
mirror() {
	local a b
	a=$(part "$D1" "$2") b=$(part "$D2" "$2")
	dd if=/dev/zero of="$a" bs=1M count=1 status=none
	dd if=/dev/zero of="$b" bs=1M count=1 status=none
	mdadm --create "/dev/$1" --run --metadata="$METADATA" --homehost=server --level=1 --raid-devices=2 --assume-clean "$a" "$b"
	udevadm settle
}

tables() {
	echo "UUID=$(id /dev/md2) / ext4 errors=remount-ro 0 1"
	[ "$BOOT" != separate ] || echo "UUID=$(id /dev/md0) /boot ext4 defaults 0 2"
	echo "UUID=$(id /dev/md1) none swap sw 0 0"
}

settings() {
	{ echo "HOMEHOST <system>"; echo "MAILADDR root"; mdadm --detail --scan; } >"$N/etc/mdadm/mdadm.conf"
	cat "$N/etc/mdadm/mdadm.conf"
}

release() { mdadm --stop --scan; }
