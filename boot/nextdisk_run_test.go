package boot

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
)

// cpu emulates as much of an 8086 as NextDisk needs, in segment 0, with a BIOS that has disks. An unknown instruction
// ends the run.
type cpu struct {
	mem        [0x10000]byte
	r          [8]uint16 // ax cx dx bx sp bp si di
	ip         uint16
	zero, less bool            // the flags ZF and CF
	disks      map[byte][]byte // LBA 0 by drive; a drive that cannot be read has no entry
	reads      []byte          // drives
	said       []byte
}

func (c *cpu) byte() byte   { c.ip++; return c.mem[c.ip-1] }
func (c *cpu) word() uint16 { return uint16(c.byte()) | uint16(c.byte())<<8 }
func (c *cpu) at(a uint16) uint16 {
	return binary.LittleEndian.Uint16(c.mem[a:])
}
func (c *cpu) compare(a, b uint16) { c.zero, c.less = a == b, a < b }
func (c *cpu) jump(cond bool) {
	if d := int8(c.byte()); cond {
		c.ip += uint16(d)
	}
}

// run returns how the run ends: "boots DRIVE", "int 18h", or what went wrong.
func (c *cpu) run(drive byte) string {
	copy(c.mem[0x7c00:], c.disks[drive])
	c.r[2], c.ip = 0xab00|uint16(drive), 0x7c00
	for range 100000 {
		if c.ip == 0x7c00 && c.mem[0x7c00] != NextDisk()[0] {
			return fmt.Sprintf("boots %#x", byte(c.r[2]))
		}
		op := c.byte()
		switch op {
		case 0xfa, 0xfb, 0xfc, 0x8e: // cli, sti, cld; segment registers, always 0
			if op == 0x8e {
				c.byte()
			}
		case 0x31: // xor ax,ax
			c.byte()
			c.r[0] = 0
		case 0x30: // xor dh,dh
			c.byte()
			c.r[2] &= 0xff
		case 0x89: // mov si,sp
			c.byte()
			c.r[6] = c.r[4]
		case 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbe, 0xbf:
			c.r[op-0xb8] = c.word()
		case 0xb2: // mov dl
			c.r[2] = c.r[2]&0xff00 | uint16(c.byte())
		case 0xb4: // mov ah
			c.r[0] = c.r[0]&0xff | uint16(c.byte())<<8
		case 0xf3: // rep movsw
			c.byte()
			copy(c.mem[c.r[7]:], c.mem[c.r[6]:c.r[6]+2*c.r[1]])
			c.r[1] = 0
		case 0xea:
			to := c.word()
			if seg := c.word(); seg != 0 {
				return fmt.Sprintf("jump to segment %#x", seg)
			}
			c.ip = to
		case 0xf6: // test dl,imm
			c.byte()
			c.zero = byte(c.r[2])&c.byte() == 0
		case 0xfe: // inc dl
			c.byte()
			c.r[2] = c.r[2]&0xff00 | uint16(byte(c.r[2])+1)
		case 0x80: // cmp dl,imm; cmp byte [addr],imm
			if c.byte() == 0xfa {
				c.compare(c.r[2]&0xff, uint16(c.byte()))
			} else {
				a := c.word()
				c.compare(uint16(c.mem[a]), uint16(c.byte()))
			}
		case 0x81: // cmp word [addr],imm
			c.byte()
			a := c.word()
			c.compare(c.at(a), c.word())
		case 0x84: // test al,al
			c.byte()
			c.zero = byte(c.r[0]) == 0
		case 0xac: // lodsb
			c.r[0] = c.r[0]&0xff00 | uint16(c.mem[c.r[6]])
			c.r[6]++
		case 0x52:
			c.r[4] -= 2
			binary.LittleEndian.PutUint16(c.mem[c.r[4]:], c.r[2])
		case 0x5a:
			c.r[2] = c.at(c.r[4])
			c.r[4] += 2
		case 0x72:
			c.jump(c.less)
		case 0x73:
			c.jump(!c.less)
		case 0x74:
			c.jump(c.zero)
		case 0x75:
			c.jump(!c.zero)
		case 0xeb:
			c.jump(true)
		case 0xcd:
			switch n := c.byte(); n {
			case 0x13:
				if c.r[0] != 0x0201 || c.r[1] != 1 || c.r[2]>>8 != 0 {
					return fmt.Sprintf("int 13h with %x", c.r)
				}
				b, there := c.disks[byte(c.r[2])]
				c.reads = append(c.reads, byte(c.r[2]))
				copy(c.mem[c.r[3]:], b)
				c.less = !there
				c.r[0], c.r[1], c.r[2] = 0xdead, 0xdead, 0xdead // a BIOS need not keep them
			case 0x10:
				c.said = append(c.said, byte(c.r[0]))
			case 0x18:
				return "int 18h"
			default:
				return fmt.Sprintf("int %#x", n)
			}
		default:
			return fmt.Sprintf("opcode %#x at %#x", op, c.ip-1)
		}
	}
	return "no end"
}

// TestNextDiskRuns checks which disk is started, for every drive that a BIOS may pass in DL.
func TestNextDiskRuns(t *testing.T) {
	sector := func(code []byte) []byte {
		b := append(slices.Clone(code), make([]byte, 512-len(code))...)
		b[510], b[511] = 0x55, 0xaa
		return b
	}
	next, other, zeros, unsigned := sector(NextDisk()), sector([]byte{0xeb, 0x63}), sector(nil), make([]byte, 512)
	unsigned[0] = 0xeb
	for name, c := range map[string]struct {
		disks map[byte][]byte
		drive byte
		want  string
		reads []byte
	}{
		"the next":          {map[byte][]byte{0x80: next, 0x81: other}, 0x80, "boots 0x81", []byte{0x81}},
		"not one before it": {map[byte][]byte{0x80: other, 0x81: next, 0x82: other}, 0x81, "boots 0x82", []byte{0x82}},
		"past what cannot be booted": {map[byte][]byte{0x80: next, 0x81: zeros, 0x82: unsigned, 0x84: next, 0x85: other}, 0x80, "boots 0x85",
			[]byte{0x81, 0x82, 0x83, 0x84, 0x85}},
		"the last of sixteen":   {map[byte][]byte{0x80: next, 0x8f: other}, 0x80, "boots 0x8f", nil},
		"none":                  {map[byte][]byte{0x80: next, 0x81: zeros, 0x90: other}, 0x80, "int 18h", nil},
		"a drive that is none":  {map[byte][]byte{0x00: next, 0x80: next, 0x81: other}, 0x00, "boots 0x81", nil},
		"a CD":                  {map[byte][]byte{0xe0: next, 0xe1: other}, 0xe0, "int 18h", nil},
		"the last of all":       {map[byte][]byte{0xff: next, 0x00: other}, 0xff, "int 18h", nil},
		"two that wait, a loop": {map[byte][]byte{0x80: next, 0x81: next}, 0x80, "int 18h", nil},
	} {
		m := &cpu{disks: c.disks}
		if got := m.run(c.drive); got != c.want || c.reads != nil && !slices.Equal(m.reads, c.reads) {
			t.Errorf("%s: %s after reading %x, want %s", name, got, m.reads, c.want)
		}
		if said := len(m.said) > 0; said != (c.want == "int 18h") {
			t.Errorf("%s: said %q", name, m.said)
		}
	}
}
