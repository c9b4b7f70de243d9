# MBR: / on a primary partition; swap, /var, /usr and /data on logical ones; /home and /srv bound from /data.
layers() {
	printf '%s\n' "size=640MiB, type=83, bootable" "type=5" "size=64MiB, type=82" "size=640MiB, type=83" "size=640MiB, type=83" "type=83" | mbr "$D1"
	mkswap -q "$(part "$D1" 5)"
	local n
	for n in 1 6 7 8; do mkfs.ext4 -q "$(part "$D1" $n)"; done
	at "$(part "$D1" 1)" /
	at "$(part "$D1" 6)" /var
	at "$(part "$D1" 7)" /usr
	at "$(part "$D1" 8)" /data
}

tables() {
	local p
	p=$(id "$(part "$D1" 1)")
	echo "UUID=$p / ext4 errors=remount-ro 0 1"
	echo "UUID=$(id "$(part "$D1" 5)") none swap sw 0 0"
	echo "UUID=$(id "$(part "$D1" 6)") /var ext4 defaults 0 2"
	echo "UUID=$(id "$(part "$D1" 7)") /usr ext4 defaults 0 2"
	echo "UUID=$(id "$(part "$D1" 8)") /data ext4 defaults 0 2"
	echo "/data/home /home none bind 0 0"
	echo "/data/srv /srv none bind 0 0"
}

settings() {
	mkdir -p "$N/data/home"
	mv "$N/srv" "$N/data/srv"
	mkdir -p "$N/srv"
	cp -a "$N/data/srv/fixture" "$N/data/home/fixture"
}

release() { :; }
