# GPT with swap and one filesystem: xfs, or btrfs with the subvolumes @ and @home. Swap is so large that it can give the few
# MiB for a copy of the xfs by blocks to a disk of the same size.
layers() {
	printf '%s\n' "size=1MiB, type=21686148-6449-6E6F-744E-656564454649" "size=96MiB, type=swap" "type=linux" | gpt "$D1"
	mkswap -q "$(part "$D1" 2)"
	"mkfs.$FS" -q -f "$(part "$D1" 3)"
	if [ "$FS" = btrfs ]; then
		mount "$(part "$D1" 3)" $N
		btrfs subvolume create $N/@
		btrfs subvolume create $N/@home
		umount $N
		mount -o subvol=@ "$(part "$D1" 3)" $N
		mkdir $N/home
		mount -o subvol=@home "$(part "$D1" 3)" $N/home
	else
		at "$(part "$D1" 3)" /
	fi
}

tables() {
	local u
	u=$(id "$(part "$D1" 3)")
	if [ "$FS" = btrfs ]; then
		echo "UUID=$u / btrfs defaults,subvol=@ 0 0"
		echo "UUID=$u /home btrfs defaults,subvol=@home 0 0"
	else
		echo "UUID=$u / $FS defaults 0 0"
	fi
	echo "UUID=$(id "$(part "$D1" 2)") none swap sw 0 0"
}

settings() { cp -a "$N/srv/fixture" "$N/home/fixture"; }

release() { :; }
