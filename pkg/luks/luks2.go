package luks

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	binarySize = 4096 // of the header before its JSON
	maxSlots   = 32   // LUKS2_KEYSLOTS_MAX; as many tokens
	maxHeader  = 4 << 20
)

// read2 reads both copies of a LUKS2 header and takes the newer one that is whole.
func read2(r io.ReaderAt, size int64) (Header, error) {
	var best *copy2
	var bad error
	for off := int64(0); off <= maxHeader; off = max(2*off, 0x4000) {
		c, err := readCopy(r, size, off)
		switch {
		case errors.Is(err, ErrNone):
		case err != nil:
			bad = errors.Join(bad, err)
		case best == nil || c.seq > best.seq:
			best = &c
		}
	}
	if best == nil {
		if bad == nil {
			bad = ErrNone
		}
		return Header{}, bad
	}
	return best.header()
}

// copy2 is one copy of a LUKS2 header, with a valid checksum.
type copy2 struct {
	seq         uint64
	uuid, label string
	json        []byte
}

func readCopy(r io.ReaderAt, size, off int64) (copy2, error) {
	b, err := at(r, off, binarySize, size)
	if err != nil {
		return copy2{}, err
	}
	want := magic
	if off > 0 {
		want = magic2
	}
	if string(b[:6]) != want || be16(b[6:]) != 2 || be64(b[256:]) != uint64(off) {
		return copy2{}, ErrNone
	}
	n := be64(b[8:])
	if n < 0x4000 || n > maxHeader || n&(n-1) != 0 || off > 0 && n != uint64(off) {
		return copy2{}, fmt.Errorf("LUKS2 header at byte %d: it claims to have %d bytes", off, n)
	}
	area, err := at(r, off+binarySize, int64(n)-binarySize, size)
	if err != nil {
		return copy2{}, err
	}
	sum := slices.Clone(b[448:512])
	clear(b[448:512])
	var h hash.Hash
	switch alg := text(b[72:104]); alg {
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	default:
		return copy2{}, fmt.Errorf("LUKS2 header at byte %d: checksum algorithm %q is unknown", off, alg)
	}
	h.Write(b)
	h.Write(area)
	if !bytes.Equal(h.Sum(nil), sum[:h.Size()]) {
		return copy2{}, fmt.Errorf("LUKS2 header at byte %d: its checksum does not match", off)
	}
	area, _, _ = bytes.Cut(area, []byte{0})
	return copy2{be64(b[16:]), text(b[168:208]), text(b[24:72]), area}, nil
}

// metadata is the part of the JSON that is looked at.
type metadata struct {
	Keyslots map[string]struct {
		Type string `json:"type"`
		Area struct {
			Encryption string `json:"encryption"`
		} `json:"area"`
		AF struct {
			Hash string `json:"hash"`
		} `json:"af"`
		KDF struct {
			Type   string `json:"type"`
			Hash   string `json:"hash"`
			Memory int64  `json:"memory"` // KiB
		} `json:"kdf"`
	} `json:"keyslots"`
	Tokens map[string]struct {
		Type     string   `json:"type"`
		Keyslots []string `json:"keyslots"`
	} `json:"tokens"`
	Segments map[string]struct {
		Type       string          `json:"type"`
		Offset     string          `json:"offset"`
		Encryption string          `json:"encryption"`
		SectorSize int             `json:"sector_size"`
		Integrity  json.RawMessage `json:"integrity"`
	} `json:"segments"`
	Config struct {
		Requirements struct {
			Mandatory []string `json:"mandatory"`
		} `json:"requirements"`
	} `json:"config"`
}

func (c copy2) header() (Header, error) {
	var m metadata
	if err := json.Unmarshal(c.json, &m); err != nil {
		return Header{}, fmt.Errorf("LUKS2 header: its JSON: %w", err)
	}
	if len(m.Keyslots) > maxSlots || len(m.Tokens) > maxSlots || c.uuid == "" {
		return Header{}, fmt.Errorf("LUKS2 header: %d key slots, %d tokens, UUID %q: it is damaged", len(m.Keyslots), len(m.Tokens), c.uuid)
	}
	h := Header{Version: 2, UUID: c.uuid, Label: c.label}
	for name, s := range m.Keyslots {
		n, ok := number(name)
		if ok && s.Type == "luks2" {
			mem := min(max(s.KDF.Memory, 0), 1<<32) << 10
			h.Slots = append(h.Slots, Slot{n, s.Area.Encryption, first(s.KDF.Hash, s.AF.Hash), s.KDF.Type, mem})
		}
	}
	slices.SortFunc(h.Slots, func(a, b Slot) int { return a.Number - b.Number })
	var names []string
	for name := range m.Tokens {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := Token{Type: m.Tokens[name].Type}
		for _, s := range m.Tokens[name].Keyslots[:min(len(m.Tokens[name].Keyslots), maxSlots)] {
			if n, ok := number(s); ok {
				t.Slots = append(t.Slots, n)
			}
		}
		h.Tokens = append(h.Tokens, t)
	}
	for _, s := range m.Segments {
		switch {
		case len(m.Segments) > 1:
			h.Unusual = fmt.Sprintf("its data is in %d segments: a re-encryption is under way", len(m.Segments))
		case s.Type != "crypt":
			h.Unusual = fmt.Sprintf("its data segment is of type %.40q", s.Type)
		case len(s.Integrity) > 0:
			h.Unusual = "it has integrity protection (dm-integrity)"
		}
		h.Cipher, h.Sector = s.Encryption, s.SectorSize
		h.Offset, _ = strconv.ParseInt(s.Offset, 10, 64)
	}
	if len(m.Segments) == 0 {
		h.Unusual = "it has no data segment"
	}
	for _, req := range m.Config.Requirements.Mandatory {
		h.Unusual = fmt.Sprintf("it requires %.60q: finish or cancel what cryptsetup began", req)
		if strings.Contains(req, "reencrypt") {
			h.Unusual = "a re-encryption is under way"
		}
	}
	return h, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// number reads the name of a slot.
func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n < maxSlots
}
