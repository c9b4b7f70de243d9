package machine

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// TestLoadBuffer compares with what a C program lays out by linux/dm-ioctl.h.
func TestLoadBuffer(t *testing.T) {
	want := make([]byte, 432)
	for at, bytes := range map[int]string{
		0: "04", 12: "b001", 16: "3801", 20: "02", 28: "01", 48: "6f766572",
		320: "08", 332: "30", 336: "6c696e656172", 352: "383a312030",
		360: "08", 368: "10", 380: "48", 384: "736e617073686f74", 400: "2f6465762f76646131202f6465762f6c6f6f7038204e2038",
	} {
		b, err := hex.DecodeString(bytes)
		if err != nil {
			t.Fatal(err)
		}
		copy(want[at:], b)
	}
	got, err := dmLoad(Mapping{Name: "over", UUID: "not in this call", ReadOnly: true, Table: []MappingTarget{
		{0, 4096, "linear", "8:1 0"}, {4096, 8192, "snapshot", "/dev/vda1 /dev/loop8 N 8"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s, want\n%s", hex.Dump(got), hex.Dump(want))
	}
	for command, want := range map[uintptr]uintptr{
		dmDevCreate: 0xc138fd03, dmDevRemove: 0xc138fd04, dmDevSuspend: 0xc138fd06, dmTableLoad: 0xc138fd09, dmTableStatus: 0xc138fd0c,
	} {
		if got := dmRequest(command); got != want {
			t.Errorf("command %d is ioctl %#x, want %#x", command, got, want)
		}
	}
}

func TestCreateBuffer(t *testing.T) {
	b, err := dmBuffer("n", "CRYPT-1", 0, dmPrimarySource, 0)
	if err != nil || len(b) != 312 || string(b[48:50]) != "n\x00" || string(b[176:184]) != "CRYPT-1\x00" || b[34] != 0x40 {
		t.Errorf("got %x, %v", b, err)
	}
	if b, err = dmLoad(Mapping{Name: "n", Table: []MappingTarget{{0, 512, "crypt", "aes-xts-plain64 00 0 8:1 0"}}}); err != nil || b[29] != 0x80 {
		t.Errorf("a table with a key is not wiped by the kernel: flags %x, %v", b[28:32], err)
	}
}

func TestMappingsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		m    Mapping
		want string
	}{
		{Mapping{}, "its table is empty"},
		{Mapping{Table: []MappingTarget{{0, 512, "zero", ""}}}, "name must have"},
		{Mapping{Name: "a/b", Table: []MappingTarget{{0, 512, "zero", ""}}}, "no slash"},
		{Mapping{Name: strings.Repeat("n", 128), Table: []MappingTarget{{0, 512, "zero", ""}}}, "127 bytes"},
		{Mapping{Name: "n", Table: []MappingTarget{{0, 500, "zero", ""}}}, "whole sectors"},
		{Mapping{Name: "n", Table: []MappingTarget{{512, 512, "zero", ""}}}, "without a gap"},
		{Mapping{Name: "n", Table: []MappingTarget{{0, 512, "zero", ""}, {1024, 512, "zero", ""}}}, "target 1: 512 bytes at 1024"},
		{Mapping{Name: "n", Table: []MappingTarget{{0, 512, strings.Repeat("t", 16), ""}}}, "1 to 15 bytes"},
		{Mapping{Name: "n", Table: []MappingTarget{{0, 512, "linear", "8:1\x000"}}}, "type"},
	} {
		if _, err := dmLoad(tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.m, err, tt.want)
		}
	}
	if _, err := dmBuffer("n", strings.Repeat("u", 129), 0, 0, 0); err == nil {
		t.Error("a UUID that is too long is accepted")
	}
}

// answer is what the kernel makes of TABLE_STATUS: each target names its follower from the first target on.
func answer(flags, open uint32, targets ...MappingTarget) []byte {
	le := binary.LittleEndian
	b := make([]byte, 512)
	le.PutUint32(b[16:], 312)
	le.PutUint32(b[20:], uint32(len(targets)))
	le.PutUint32(b[24:], open)
	le.PutUint32(b[28:], flags)
	at := 312
	for _, t := range targets {
		le.PutUint64(b[at:], uint64(t.Start/512))
		le.PutUint64(b[at+8:], uint64(t.Length/512))
		copy(b[at+24:], t.Type)
		copy(b[at+40:], t.Params)
		next := (40 + len(t.Params) + 1 + 7) / 8 * 8
		le.PutUint32(b[at+20:], uint32(at-312+next))
		at += next
	}
	le.PutUint32(b[12:], uint32(at))
	return b
}

func TestStatusIsDecoded(t *testing.T) {
	want := []MappingTarget{{0, 4096, "linear", ""}, {4096, 1 << 20, "snapshot", "Invalid"}}
	s, full, err := dmState(answer(3, 2, want...))
	if err != nil || full || !s.ReadOnly || !s.Suspended || s.Open != 2 || !slices.Equal(s.Table, want) {
		t.Errorf("got %+v, full %v, %v", s, full, err)
	}
	if _, full, err := dmState(answer(1<<8, 0)); !full || err != nil {
		t.Errorf("a full buffer: full %v, %v", full, err)
	}
	if s, _, err := dmState(answer(0, 0)); err != nil || s.Table != nil || s.ReadOnly || s.Suspended {
		t.Errorf("without a table: %+v, %v", s, err)
	}
}

func TestStatusThatLies(t *testing.T) {
	le := binary.LittleEndian
	two := []MappingTarget{{0, 512, "a", ""}, {512, 512, "b", ""}}
	for name, spoil := range map[string]func(b []byte){
		"size":        func(b []byte) { le.PutUint32(b[12:], 513) },
		"start":       func(b []byte) { le.PutUint32(b[16:], 512) },
		"more":        func(b []byte) { le.PutUint32(b[20:], 3) },
		"far":         func(b []byte) { le.PutUint32(b[312+20:], 1<<31) },
		"same again":  func(b []byte) { le.PutUint32(b[312+20:], 0) },
		"many of one": func(b []byte) { le.PutUint32(b[20:], 1<<31); le.PutUint32(b[312+20:], 0) },
	} {
		b := answer(0, 0, two...)
		spoil(b)
		if s, _, err := dmState(b); err == nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	if _, _, err := dmState(make([]byte, 311)); err == nil {
		t.Error("a short answer is accepted")
	}
}

func FuzzStatus(f *testing.F) {
	f.Add(answer(0, 1, MappingTarget{0, 4096, "snapshot", "16/128 8"}))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = dmState(b) })
}
