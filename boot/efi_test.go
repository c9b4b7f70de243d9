package boot

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A boot entry laid out by hand from the UEFI specification: GPT partition 2 at LBA 4096, 409600 blocks.
const shimEntry = "01000000" + "6200" + // active; 98 bytes of device path
	"640065006200690061006e000000" + // "debian"
	"04012a00" + "02000000" + "0010000000000000" + "0040060000000000" + "67452301ab89efcd0123456789abcdef" + "0202" +
	"04043400" + "5c004500460049005c00640065006200690061006e005c007300680069006d007800360034002e006500660069000000" +
	"7fff0400" + "aabb"

func TestLoadOption(t *testing.T) {
	data, err := hex.DecodeString(shimEntry)
	if err != nil {
		t.Fatal(err)
	}
	o, err := ParseLoadOption(data)
	if err != nil {
		t.Fatal(err)
	}
	hd := HardDrive{Number: 2, Start: 4096, Size: 409600, GUID: "01234567-89ab-cdef-0123-456789abcdef"}
	if got, ok := o.HardDrive(); !ok || got != hd {
		t.Errorf("partition %+v %v", got, ok)
	}
	if o.Description != "debian" || o.File() != "/EFI/debian/shimx64.efi" || o.Attributes != LoadOptionActive || !bytes.Equal(o.Data, []byte{0xaa, 0xbb}) {
		t.Errorf("%+v, file %q", o, o.File())
	}
	node, err := HardDriveNode(hd)
	if err != nil {
		t.Fatal(err)
	}
	ours := LoadOption{Attributes: 1, Description: "debian", Path: []PathNode{node, FileNode("/EFI/debian/shimx64.efi")}, Data: []byte{0xaa, 0xbb}}
	if d := cmp.Diff(data, ours.Bytes()); d != "" {
		t.Error(d)
	}
	mbr, err := HardDriveNode(HardDrive{Number: 1, Start: 63, Size: 1, MBRID: 0xdeadbeef})
	if got, _ := (LoadOption{Path: []PathNode{mbr}}).HardDrive(); err != nil || got.MBRID != 0xdeadbeef || got.GUID != "" {
		t.Errorf("mbr %+v, %v", got, err)
	}
	if _, err := HardDriveNode(HardDrive{GUID: "x"}); err == nil {
		t.Error("bad guid accepted")
	}
	for want, cut := range map[string][]byte{"description": data[:10], "98 bytes in": data[:60], "bytes": data[:7]} {
		if _, err := ParseLoadOption(cut); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestBootNumbers(t *testing.T) {
	order, err := ParseBootNumbers([]byte{1, 0, 0xcd, 0xab, 2, 0})
	if err != nil || !cmp.Equal(order, []uint16{1, 0xabcd, 2}) {
		t.Fatalf("%v %v", order, err)
	}
	if got := FirstInOrder(order, 2); !cmp.Equal(got, []uint16{2, 1, 0xabcd}) {
		t.Errorf("first %v", got)
	}
	if got := LastInOrder(order, 1); !cmp.Equal(got, []uint16{0xabcd, 2, 1}) {
		t.Errorf("last %v", got)
	}
	if got := BootNumbers(order...); !bytes.Equal(got, []byte{1, 0, 0xcd, 0xab, 2, 0}) {
		t.Errorf("bytes %x; a helper changed its argument", got)
	}
	if _, err := ParseBootNumbers([]byte{1}); err == nil {
		t.Error("half a number accepted")
	}
	if n, ok := ParseBootEntryName("BootABCD"); !ok || BootEntryName(n) != "BootABCD" {
		t.Errorf("%x %v", n, ok)
	}
	for _, s := range []string{"BootOrder", "Boot00", "Bootabcd", "Boot000G"} {
		if _, ok := ParseBootEntryName(s); ok {
			t.Errorf("%s is no entry", s)
		}
	}
	if s, err := ParseEFIString(EFIString("debian é.conf")); err != nil || s != "debian é.conf" {
		t.Errorf("%q %v", s, err)
	}
}

func FuzzLoadOption(f *testing.F) {
	seed, err := hex.DecodeString(shimEntry)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseLoadOption(data)
		if err != nil {
			return
		}
		o.HardDrive()
		o.File()
		// Unpaired surrogates in a description are replaced, so that part is compared by meaning.
		again, err := ParseLoadOption(o.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, again); d != "" {
			t.Fatal(d)
		}
		if !strings.ContainsRune(o.Description, '\ufffd') && !bytes.Equal(o.Bytes(), data) {
			t.Fatal("render is not the identity")
		}
	})
}
