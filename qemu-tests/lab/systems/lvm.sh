# LVM with root, swap and var as logical volumes. With $BOOT=separate there is one disk, with /boot on a partition of its own;
# otherwise two disks, whose volume group has /boot inside the root volume, var striped over both, and data mirrored.
layers() {
	if [ "$BOOT" = separate ]; then
		printf '%s\n' "size=256MiB, type=83, bootable" "type=8e" | mbr "$D1"
		pvcreate -q "$(part "$D1" 2)"
		vgcreate -q vg0 "$(part "$D1" 2)"
	else
		echo "type=8e, bootable" | mbr "$D1"
		echo "type=8e" | mbr "$D2"
		pvcreate -q "$(part "$D1" 1)" "$(part "$D2" 1)"
		vgcreate -q vg0 "$(part "$D1" 1)" "$(part "$D2" 1)"
	fi
	lvcreate -q -y -n root -L 1000M vg0
	lvcreate -q -y -n swap -L 64M vg0
	if [ "$BOOT" = separate ]; then
		lvcreate -q -y -n var -L 640M vg0
		mkfs.ext4 -q "$(part "$D1" 1)"
	else
		lvcreate -q -y -n var -L 640M --type striped --stripes 2 vg0
		lvcreate -q -y -n data -L 128M --type raid1 --mirrors 1 --nosync vg0
		mkfs.ext4 -q /dev/vg0/data
	fi
	mkfs.ext4 -q /dev/vg0/root
	mkfs.ext4 -q /dev/vg0/var
	mkswap -q /dev/vg0/swap
	at /dev/vg0/root /
	at /dev/vg0/var /var
	if [ "$BOOT" = separate ]; then at "$(part "$D1" 1)" /boot; else at /dev/vg0/data /data; fi
}

tables() {
	echo "/dev/mapper/vg0-root / ext4 errors=remount-ro 0 1"
	echo "/dev/mapper/vg0-var /var ext4 defaults 0 2"
	if [ "$BOOT" = separate ]; then
		echo "UUID=$(id "$(part "$D1" 1)") /boot ext4 defaults 0 2"
	else
		echo "/dev/mapper/vg0-data /data ext4 defaults 0 2"
	fi
	echo "/dev/mapper/vg0-swap none swap sw 0 0"
}

release() { vgchange -q -an vg0; }
