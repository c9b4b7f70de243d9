package fstab

import "strings"

// Kind says how a spec names its device.
type Kind int

// The kinds of fstab(5) and mount(8).
const (
	Other     Kind = iota // a pseudo filesystem, a network path, a ZFS dataset
	Nothing               // "none" or "-"
	Device                // an absolute path, /dev/... or a bind source or swap file
	UUID                  // filesystem UUID
	Label                 // filesystem label
	PartUUID              // GPT partition GUID, or MBR disk signature and partition number
	PartLabel             // GPT partition name
	ID                    // hardware id: the name of a link in /dev/disk/by-id
)

func tagOf(k Kind) string {
	switch k {
	case UUID:
		return "UUID"
	case Label:
		return "LABEL"
	case PartUUID:
		return "PARTUUID"
	case PartLabel:
		return "PARTLABEL"
	case ID:
		return "ID"
	}
	return ""
}

// Spec is the parsed first field of fstab, or second field of crypttab.
type Spec struct {
	Kind  Kind
	Value string // the UUID, label or path, unescaped and without quotes
	Quote byte   // the quote around the value of a tag: '"', '\'' or 0
}

// ParseSpec reads a spec as it is written in the file. It accepts every string: one that is neither a tag nor a path is
// Other.
func ParseSpec(s string) Spec {
	for _, k := range []Kind{UUID, Label, PartUUID, PartLabel, ID} {
		v, ok := strings.CutPrefix(s, tagOf(k)+"=")
		if !ok {
			continue
		}
		var quote byte
		if n := len(v); n >= 2 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
			quote, v = v[0], v[1:n-1]
		}
		return Spec{Kind: k, Value: Unescape(v), Quote: quote}
	}
	switch {
	case s == "none" || s == "-":
		return Spec{Kind: Nothing, Value: s}
	case strings.HasPrefix(s, "/"):
		return Spec{Kind: Device, Value: Unescape(s)}
	}
	return Spec{Kind: Other, Value: Unescape(s)}
}

// String returns the spec as it is written in the file, escaped and with its quotes.
func (s Spec) String() string {
	tag := tagOf(s.Kind)
	if tag == "" {
		return escape(s.Value)
	}
	q := ""
	if s.Quote != 0 {
		q = string(rune(s.Quote))
	}
	return tag + "=" + q + escape(s.Value) + q
}
