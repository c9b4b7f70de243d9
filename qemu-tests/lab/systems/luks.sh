# /boot on a partition; LUKS2 on the rest, with a passphrase; in it LVM with root and swap.
INITRD=new

layers() {
	printf '%s\n' "size=256MiB, type=83, bootable" "type=83" | mbr "$D1"
	mkfs.ext4 -q "$(part "$D1" 1)"
	# As Debian's installer makes it, but for a key derivation that emulation can bear.
	printf %s "$PASSPHRASE" | cryptsetup luksFormat -q --type luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 32768 "$(part "$D1" 2)" -
	printf %s "$PASSPHRASE" | cryptsetup open --key-file - "$(part "$D1" 2)" crypt0
	pvcreate -q /dev/mapper/crypt0
	vgcreate -q vg0 /dev/mapper/crypt0
	lvcreate -q -y -n swap -L 64M vg0
	lvcreate -q -y -n root -l 100%FREE vg0
	mkfs.ext4 -q /dev/vg0/root
	mkswap -q /dev/vg0/swap
	at /dev/vg0/root /
	at "$(part "$D1" 1)" /boot
}

tables() {
	echo "/dev/mapper/vg0-root / ext4 errors=remount-ro 0 1"
	echo "UUID=$(id "$(part "$D1" 1)") /boot ext4 defaults 0 2"
	echo "/dev/mapper/vg0-swap none swap sw 0 0"
}

settings() { echo "crypt0 UUID=$(id "$(part "$D1" 2)") none luks,discard" >"$N/etc/crypttab"; }

release() {
	vgchange -q -an vg0
	cryptsetup close crypt0
}
