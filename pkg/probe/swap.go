package probe

import "encoding/binary"

// SwapState describes a swap area, and whether it holds the image of a hibernated system.
type SwapState struct {
	PageSize   int64  // bytes
	Pages      int64  // usable pages and the header; 0 if unknown
	Hibernated string // the magic of the image; "" for plain swap
}

const tuxOnIce = "\xed\xc3\x02\xe9\x98\x56\xe5\x0c"

// probeSwap looks at the last ten bytes of the first page, for every page size of Linux (mm/swapfile.c,
// kernel/power/swap.c, and older hibernation code that replaced the same magic). The header at byte 1024 survives
// hibernation, and with it UUID and label.
func probeSwap(d *device) []Signature {
	var out []Signature
	// libblkid recognizes TuxOnIce by its magic at the very start, whatever the end of the page is.
	suspended := string(d.read(0, 8)) == tuxOnIce
	for page := int64(4096); page <= 65536; page *= 2 {
		m := d.read(page-10, 10)
		if m == nil {
			break
		}
		s := Signature{Kind: Swap, Type: "swap", Offset: page - 10, Length: 10, BlockSize: page, Swap: &SwapState{PageSize: page},
			copies: []Range{{1024, page - 1024}}}
		switch magic := string(m); {
		case magic == "SWAPSPACE2":
			s.Version = "1"
		case magic == "SWAP-SPACE":
			s.Version = "0"
		case magic[:9] == "S1SUSPEND", magic[:9] == "S2SUSPEND", magic[:9] == "ULSUSPEND":
			s.Type, s.Swap.Hibernated = "hibernation", magic[:9]
		case magic == "LINHIB0001":
			s.Type, s.Swap.Hibernated = "hibernation", magic
		case magic[:8] == tuxOnIce:
			s.Type, s.Swap.Hibernated = "hibernation", "TuxOnIce"
		default:
			continue
		}
		if suspended {
			s.Type, s.Swap.Hibernated = "hibernation", "TuxOnIce"
			s.copies = append(s.copies, Range{0, 8})
		}
		if h := d.read(1024, 60); h != nil && s.Version != "0" {
			var order binary.ByteOrder = binary.LittleEndian
			if order.Uint32(h) != 1 {
				order = binary.BigEndian
			}
			if order.Uint32(h) == 1 {
				s.Version = "1"
				s.Swap.Pages = int64(order.Uint32(h[4:])) + 1
				s.Size = s.Swap.Pages * page
				s.UUID, s.Label = uuid(h[12:28]), text(h[28:44])
			}
		}
		out = append(out, s)
	}
	if suspended && len(out) == 0 {
		out = []Signature{{Kind: Swap, Type: "hibernation", Length: 8, Swap: &SwapState{Hibernated: "TuxOnIce"}, copies: []Range{{0, 8}}}}
	}
	return out
}
