package zfs

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// The byte order of /etc/hostid is that of the machine: the wrong one makes every import ask for -f.
func TestHostID(t *testing.T) {
	b, err := HostIDFile("106bb6c4")
	if err != nil || !bytes.Equal(b, []byte{0xc4, 0xb6, 0x6b, 0x10}) {
		t.Fatalf("% x, %v", b, err)
	}
	n, err := HostID(append(b, '\n'))
	if err != nil || FormatHostID(n) != "106bb6c4" {
		t.Errorf("%x, %v", n, err)
	}
	for _, bad := range []string{"", "106bb6c", "0x6bb6c4", "00000000", "106bb6c4f"} {
		if _, err := HostIDFile(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := HostID([]byte{1, 2, 3}); err == nil {
		t.Error("three bytes are taken")
	}
}

func TestArgv(t *testing.T) {
	argv, err := Create{Name: "rpool", Comment: Comment("0A000000-0000-4000-8000-000000000001"), Type: "mirror", Devices: []string{"/dev/a", "/dev/b"}, Ashift: 12,
		Properties: []string{"autotrim=on"}, Options: []string{"acltype=posixacl"}}.Argv()
	want := "zpool create -o cachefile=none -o comment=0a000000000040008000000000000001 -o ashift=12 -o autotrim=on -O acltype=posixacl rpool mirror /dev/a /dev/b"
	if err != nil || strings.Join(argv, " ") != want {
		t.Errorf("%q, %v", argv, err)
	}
	for _, c := range []Create{{Name: "rpool"}, {Name: "rpool", Devices: []string{"/dev/a", "/dev/b"}}} {
		if argv, err := c.Argv(); err == nil {
			t.Errorf("%q is made: %q", c.Name, argv)
		}
	}
	// No command forces anything.
	for _, argv := range [][]string{argv, Import("123", "/dev/disk/by-partuuid", true), Export("rpool"), Attach("rpool", "/dev/a", "/dev/b"), Destroy("rpool/root"), MakeDataset("rpool/x", []string{"a=b"})} {
		if slices.Contains(argv, "-f") || slices.Contains(argv, "-F") {
			t.Errorf("%q forces", argv)
		}
	}
}

const resilver21 = `  pool: rpool
 state: DEGRADED
status: One or more devices is currently being resilvered.  The pool will
	continue to function, possibly in a degraded state.
action: Wait for the resilver to complete.
  scan: resilver in progress since Mon Nov 30 22:00:01 2026
	1.20G scanned at 410M/s, 315M issued at 105M/s, 1.20G total
	310M resilvered, 25.63% done, 1 days 00:00:09 to go
config:

	NAME                      STATE     READ WRITE CKSUM
	8345120034712345678       DEGRADED     0     0     0
	  1111                    DEGRADED     0     0     0
	    2222                  ONLINE       0     0     0
	    3333                  ONLINE       0     0     0  (resilvering)

errors: No known data errors
`

func TestStatus(t *testing.T) {
	st, err := ParseStatus([]byte(resilver21))
	if err != nil || st.State != "DEGRADED" || !st.Scan.Resilvering || st.Scan.Done != 0.2563 || st.Scan.Left != 86409 || st.Errors != "No known data errors" {
		t.Errorf("%+v, %v", st, err)
	}
	if len(st.Devices) != 4 || st.Devices[3] != (DeviceState{"3333", "ONLINE", 2}) || st.Devices[0].Depth != 0 {
		t.Errorf("%+v", st.Devices)
	}
	done, err := ParseStatus([]byte("  pool: p\n state: ONLINE\n  scan: resilvered 310M in 00:00:03 with 0 errors on Mon Nov 30 22:00:04 2026\nconfig:\n\n\tNAME  STATE READ WRITE CKSUM\n\tp  ONLINE 0 0 0\n\nerrors: No known data errors\n"))
	if err != nil || done.Scan.Resilvering || done.Scan.Left != -1 || len(done.Devices) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	none, err := ParseStatus([]byte("  pool: p\n state: ONLINE\n  scan: resilver in progress since x\n\t0B / 1.2G scanned, 0B / 1.2G issued\n\t0B resilvered, 0.00% done, no estimated completion time\n"))
	if err != nil || !none.Scan.Resilvering || none.Scan.Left != -1 {
		t.Errorf("%+v, %v", none, err)
	}
	if _, err := ParseStatus([]byte("cannot open 'p': no such pool\n")); err == nil {
		t.Error("an error message is a state")
	}
}

func TestGet(t *testing.T) {
	got, err := ParseGet([]byte("rpool\tmountpoint\tnone\nrpool/root\tmountpoint\tlegacy\nrpool/root\tmigrate-init:uuid\ta\tb\n"))
	if err != nil || got["rpool"]["mountpoint"] != "none" || got["rpool/root"]["migrate-init:uuid"] != "a\tb" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseGet([]byte("no pools available\n")); err == nil {
		t.Error("a sentence is a value")
	}
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte(resilver21))
	f.Add([]byte("a\tb\tc\n"))
	f.Add([]byte(" state:\n  scan: resilver in progress\n\tNaN% done, 9999999 days 00:00:00 to go\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseStatus(b)
		if err == nil && (st.Scan.Done < 0 || st.Scan.Done > 1 || st.Scan.Left < -1 || len(st.Devices) > len(b)) {
			t.Errorf("%+v", st)
		}
		got, err := ParseGet(b)
		if err == nil && len(got) > len(b) {
			t.Errorf("%d names of %d bytes", len(got), len(b))
		}
	})
}
