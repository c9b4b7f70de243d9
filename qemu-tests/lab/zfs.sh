# Builds ZFS's kernel modules from the source that zfs-dkms has, for the kernel whose headers are installed, and packs them as
# the package zfs-modules, in which zfs-initramfs and zfs-dkms's other dependents find what they need. lab.zfsModules runs it
# in a root of its own.
set -eux
cd /tmp
apt-get download zfs-dkms
dpkg-deb -x zfs-dkms_*.deb zfs
version=$(dpkg-deb -f zfs-dkms_*.deb Version)
release=$(basename /usr/src/linux-headers-*-amd64 | sed s/linux-headers-//)
cd zfs/usr/src/zfs-*/
# Without debugging data it takes half as long.
export KCFLAGS=-g0
./configure --with-config=kernel --with-linux="/lib/modules/$release/source" --with-linux-obj="/lib/modules/$release/build" >/tmp/log 2>&1 ||
	{ tail -n 40 /tmp/log; exit 1; }
make -j"$(nproc)" >/tmp/log 2>&1 || { tail -n 40 /tmp/log; exit 1; }
deb=/tmp/deb to=/tmp/deb/usr/lib/modules/$release/updates/dkms
mkdir -p $deb/DEBIAN "$to"
find module -name '*.ko' -exec cp -t "$to" {} +
strip --strip-debug "$to"/*.ko
cat >$deb/DEBIAN/control <<C
Package: zfs-modules
Version: $version
Architecture: amd64
Maintainer: lab <root@localhost>
Depends: linux-image-$release
Description: ZFS for Linux $release
C
printf '#!/bin/sh\nset -e\ndepmod %s\n' "$release" >$deb/DEBIAN/postinst
chmod 755 $deb/DEBIAN/postinst
mkdir /tmp/out
dpkg-deb --build $deb /tmp/out/zfs-modules.deb
cd /tmp/out
# The index of an archive that holds this package only (deb-src is not needed, so dpkg-dev is not either).
{
	dpkg-deb --field zfs-modules.deb
	echo "Filename: ./zfs-modules.deb"
	echo "Size: $(stat -c %s zfs-modules.deb)"
	echo "SHA256: $(sha256sum <zfs-modules.deb | cut -d' ' -f1)"
} >Packages
