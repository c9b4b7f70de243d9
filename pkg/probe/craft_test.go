package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// disk is a device in memory with pieces of data on it.
type disk struct {
	size   int64
	pieces map[int64][]byte
}

func (d disk) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	for off, p := range d.pieces {
		from, to := max(at, off), min(at+int64(len(b)), off+int64(len(p)))
		if from < to {
			copy(b[from-at:to-at], p[from-off:to-off])
		}
	}
	if at+int64(len(b)) > d.size {
		return int(max(d.size-at, 0)), io.EOF
	}
	return len(b), nil
}

func (d disk) file(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dev")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(d.size); err != nil {
		t.Fatal(err)
	}
	for off, p := range d.pieces {
		if _, err := f.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

var le, be = binary.LittleEndian, binary.BigEndian

func craftMD1(at int64) []byte {
	b := make([]byte, 4096)
	le.PutUint32(b, mdMagic)
	le.PutUint32(b[4:], 1)
	copy(b[16:], "0123456789abcdef")
	copy(b[32:], "host:root")
	le.PutUint64(b[64:], 1700000000)
	le.PutUint32(b[72:], 1)
	le.PutUint64(b[80:], 20000)
	le.PutUint32(b[92:], 2)
	le.PutUint64(b[128:], 2048)
	le.PutUint64(b[136:], 20000)
	le.PutUint64(b[144:], uint64(at/512))
	le.PutUint32(b[220:], 3)
	le.PutUint16(b[258:], 1)
	le.PutUint16(b[260:], 0xfffe)
	var sum uint64
	for i := 0; i < 260; i += 4 {
		sum += uint64(le.Uint32(b[i:]))
	}
	sum += uint64(le.Uint16(b[260:]))
	le.PutUint32(b[216:], uint32(sum)+uint32(sum>>32))
	return b
}

func craftMD0() []byte {
	b := make([]byte, 4096)
	le.PutUint32(b, mdMagic)
	le.PutUint32(b[8:], 90)
	for i, off := range []int{20, 52, 56, 60} {
		le.PutUint32(b[off:], 0x11223344+uint32(i))
	}
	le.PutUint32(b[28:], 1)
	le.PutUint32(b[32:], 10000)
	le.PutUint32(b[36:], 2)
	le.PutUint32(b[40:], 2)
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(le.Uint32(b[i:]))
	}
	le.PutUint32(b[152:], uint32(sum)+uint32(sum>>32))
	return b
}

func craftLVM() []byte {
	b := make([]byte, 512)
	copy(b, "LABELONE")
	le.PutUint64(b[8:], 1)
	le.PutUint32(b[20:], 32)
	copy(b[24:], "LVM2 001")
	copy(b[32:], "aBcDeF0123456789ABCDEFGHIJKLmnop")
	le.PutUint64(b[64:], 16*mib)
	le.PutUint32(b[16:], ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b[20:]))
	return b
}

type pairs struct{ bytes.Buffer }

func (p *pairs) add(name string, typ uint32, value []byte) {
	var body []byte
	body = appendXDR(body, name)
	body = be.AppendUint32(body, typ)
	body = be.AppendUint32(body, 1)
	body = append(body, value...)
	var head [8]byte
	be.PutUint32(head[:], uint32(8+len(body)))
	be.PutUint32(head[4:], uint32(8+len(body)))
	p.Write(head[:])
	p.Write(body)
}

func (p *pairs) number(name string, n uint64) { p.add(name, nvUint64, be.AppendUint64(nil, n)) }
func (p *pairs) text(name, s string)          { p.add(name, nvString, appendXDR(nil, s)) }

func (p *pairs) pack() []byte {
	return append(append(be.AppendUint32(make([]byte, 0, 8), 0), 0, 0, 0, 1), append(p.Bytes(), make([]byte, 8)...)...)
}

func appendXDR(b []byte, s string) []byte {
	b = append(be.AppendUint32(b, uint32(len(s))), s...)
	return append(b, make([]byte, -len(s)&3)...)
}

// craftZFS is a label as zpool writes it, with a ring of uberblocks.
func craftZFS(at int64, pool string, guid, txg uint64) []byte {
	var tree, top pairs
	tree.text("type", "mirror")
	tree.number("id", 0)
	tree.number("guid", 77)
	tree.number("ashift", 12)
	top.number("version", 5000)
	top.text("name", pool)
	top.number("state", 1)
	top.number("txg", txg)
	top.number("pool_guid", guid)
	top.number("errata", 0)
	top.number("hostid", 0xdeadbeef)
	top.text("hostname", "old-host")
	top.number("top_guid", 77)
	top.number("guid", 12345678901234567890)
	top.add("vdev_tree", nvList, tree.pack())
	b := make([]byte, zfsLabel)
	phys := b[16<<10 : 128<<10]
	copy(phys, []byte{1, 1, 0, 0})
	copy(phys[4:], top.pack())
	eck := phys[len(phys)-40:]
	le.PutUint64(eck, 0x0210da7ab10c7a11)
	le.PutUint64(eck[8:], uint64(at)+16<<10)
	sum := sha256.Sum256(phys)
	for i := range 4 {
		le.PutUint64(eck[8+8*i:], be.Uint64(sum[8*i:]))
	}
	for i := range 8 {
		u := b[128<<10+i*4096:]
		le.PutUint64(u, 0x00bab10c)
		le.PutUint64(u[8:], 5000)
		le.PutUint64(u[16:], txg-8+uint64(i))
	}
	return b
}

func zfsDisk(size int64, pool string, guid, txg uint64) disk {
	d := disk{size, map[int64][]byte{}}
	end := size &^ (zfsLabel - 1)
	for _, at := range []int64{0, zfsLabel, end - 2*zfsLabel, end - zfsLabel} {
		d.pieces[at] = craftZFS(at, pool, guid, txg)
	}
	return d
}

// What no tool can create here without a kernel is crafted, and blkid has to agree about it.
func TestOracleCrafted(t *testing.T) {
	const size = 16*mib + 12288
	for _, c := range []struct {
		name string
		disk disk
		want Signature
		ids  map[string]string // blkid's keys
	}{
		{"md 1.0", disk{size, map[int64][]byte{size - 8192: craftMD1(size - 8192)}},
			Signature{Kind: RAID, Type: "linux_raid_member", Version: "1.0", UUID: "30313233-3435-3637-3839-616263646566", Label: "host:root", Offset: size - 8192, Length: 4, Checksum: Valid}, nil},
		{"md 1.1", disk{size, map[int64][]byte{0: craftMD1(0)}},
			Signature{Kind: RAID, Type: "linux_raid_member", Version: "1.1", UUID: "30313233-3435-3637-3839-616263646566", Label: "host:root", Length: 4, Checksum: Valid}, nil},
		{"md 1.2", disk{size, map[int64][]byte{4096: craftMD1(4096)}},
			Signature{Kind: RAID, Type: "linux_raid_member", Version: "1.2", UUID: "30313233-3435-3637-3839-616263646566", Label: "host:root", Offset: 4096, Length: 4, Checksum: Valid}, nil},
		{"md 0.90", disk{size, map[int64][]byte{size&^0xffff - 0x10000: craftMD0()}},
			Signature{Kind: RAID, Type: "linux_raid_member", Version: "0.90", UUID: "11223344-1122-3345-1122-334611223347", Offset: size&^0xffff - 0x10000, Length: 4, Checksum: Valid}, nil},
		{"lvm", disk{size, map[int64][]byte{512: craftLVM()}},
			Signature{Kind: LVM, Type: "LVM2_member", Version: "LVM2 001", UUID: "aBcDeF-0123-4567-89AB-CDEF-GHIJ-KLmnop", Offset: 512, Length: 8, Size: 16 * mib, Checksum: Valid}, nil},
		{"zfs", zfsDisk(64*mib+size, "rpool", 1234567890123456789, 400),
			Signature{Kind: ZFS, Type: "zfs_member", Version: "5000", UUID: "1234567890123456789", Label: "rpool", Offset: 16 << 10, Length: 112 << 10, Checksum: Valid,
				ZFS: &ZFSMember{Pool: "rpool", PoolGUID: "1234567890123456789", VdevGUID: "12345678901234567890", TopGUID: "77", TXG: 400, State: "exported",
					HostID: 0xdeadbeef, HostName: "old-host", Version: 5000, Ashift: 12, TopType: "mirror", Labels: []int{0, 1, 2, 3}}},
			map[string]string{"UUID_SUB": "12345678901234567890"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.disk.file(t)
			res := probeFile(t, path)
			if len(res.Signatures) != 1 {
				t.Fatalf("signatures = %v", res.Signatures)
			}
			got := res.Signatures[0]
			got.copies = nil
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(Signature{})); d != "" {
				t.Error(d)
			}
			if fs, err := res.Filesystem(); !errors.Is(err, ErrNoFilesystem) {
				t.Errorf("Filesystem() = %v, %v", fs, err)
			}
			id := blkid(t, path)
			for k, v := range map[string]string{"TYPE": got.Type, "UUID": got.UUID, "LABEL": got.Label, "VERSION": got.Version} {
				if id[k] != v && !(v == "0.90" && id[k] == "0.90.0") {
					t.Errorf("%s: ours %q, blkid %q", k, v, id[k])
				}
			}
			for k, v := range c.ids {
				if id[k] != v {
					t.Errorf("%s: wants %q, blkid %q", k, v, id[k])
				}
			}
			wipe(t, path, res)
			if left := probeFile(t, path); !left.Empty() {
				t.Errorf("after the wipe: %v", left.Signatures)
			}
			if out := tool(t, path, "wipefs", "@"); strings.TrimSpace(out) != "" {
				t.Errorf("wipefs after the wipe: %s", out)
			}
		})
	}
}

func TestOracleMdadm(t *testing.T) {
	const size = 16 * mib
	for at, b := range map[int64][]byte{4096: craftMD1(4096), size - 65536: craftMD0()} {
		out := tool(t, disk{size, map[int64][]byte{at: b}}.file(t), "mdadm", "--examine", "@")
		if !strings.Contains(out, "- correct") {
			t.Errorf("mdadm does not take what we call valid:\n%s", out)
		}
	}
}
