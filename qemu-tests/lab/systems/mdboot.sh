# As md, with /boot on a plain partition of the first disk, which the second one has too and no one uses.
INITRD=new

layers() {
	local d
	for d in "$D1" "$D2"; do
		mbr "$d" <<-END
			size=256MiB, type=83, bootable
			size=96MiB, type=fd
			type=fd
		END
	done
	dd if=/dev/zero of="$(part "$D2" 1)" bs=1M count=1 status=none
	mkfs.ext4 -q "$(part "$D1" 1)"
	mirror md1 2
	mkswap -q /dev/md1
	mirror md2 3
	mkfs.ext4 -q /dev/md2
	at /dev/md2 /
	at "$(part "$D1" 1)" /boot
}

tables() {
	echo "UUID=$(id /dev/md2) / ext4 errors=remount-ro 0 1"
	echo "UUID=$(id "$(part "$D1" 1)") /boot ext4 defaults 0 2"
	echo "UUID=$(id /dev/md1) none swap sw 0 0"
}
