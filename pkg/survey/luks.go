package survey

import (
	"io"
	"slices"
	"strings"

	"migrate-init/pkg/luks"
	"migrate-init/pkg/plan"
)

func (l *looker) readCrypt(d *plan.Device, r io.ReaderAt) {
	h, err := luks.Read(r, d.Size)
	if err != nil {
		l.ofDevice("LUKS header", d.Path, err)
		return
	}
	l.crypts[d.Name] = h
}

// header is the LUKS header that was read from a device, or nil.
func (l *looker) header(d *plan.Device) *luks.Header {
	if h, ok := l.crypts[d.Name]; ok {
		return &h
	}
	return nil
}

// containers lists LUKS containers, whether they are open or not, and mappings of dm-crypt without a header: cryptsetup
// gives every mapping a UUID that says what it is (CRYPT-LUKS2-<uuid>-<name>, CRYPT-PLAIN-<name>).
func (l *looker) containers() {
	for i := range l.f.Devices {
		d := &l.f.Devices[i]
		h, ok := l.crypts[d.Name]
		if !ok || l.member(d) {
			continue
		}
		c := plan.Crypt{UUID: h.UUID, Version: h.Version, Device: d.Name, Cipher: h.Cipher, Modules: cryptoNames(h), Slots: len(h.Slots), Passphrase: len(h.Passphrase()), Memory: h.Memory(), Unusual: h.Unusual}
		for _, t := range h.Tokens {
			if !slices.Contains(c.Tokens, t.Type) {
				c.Tokens = append(c.Tokens, printable(strings.ToValidUTF8(t.Type, "?")))
			}
		}
		if m := l.opened(d, "CRYPT-LUKS", strings.ReplaceAll(h.UUID, "-", "")); m != nil {
			c.Node, c.Name = m.Name, m.Mapping
		}
		l.f.Crypts = append(l.f.Crypts, c)
	}
	for _, m := range l.f.Devices {
		kind, isCrypt := strings.CutPrefix(m.MappingID, "CRYPT-")
		known := slices.ContainsFunc(l.f.Crypts, func(c plan.Crypt) bool { return c.Node == m.Name })
		if !isCrypt || known || strings.HasPrefix(kind, "SUBDEV") {
			continue
		}
		kind, _, _ = strings.Cut(kind, "-")
		c := plan.Crypt{Node: m.Name, Name: m.Mapping, Unusual: "it is of type " + strings.ToLower(kind) + ", and has no LUKS header on the device"}
		for _, d := range l.f.Devices {
			if slices.Contains(d.Holders, m.Name) {
				c.Device = d.Name
			}
		}
		l.f.Crypts = append(l.f.Crypts, c)
	}
}

// opened finds the mapping that lies on a device and whose UUID has a prefix and a part.
func (l *looker) opened(d *plan.Device, prefix, part string) *plan.Device {
	for i := range l.f.Devices {
		m := &l.f.Devices[i]
		if slices.Contains(d.Holders, m.Name) && strings.HasPrefix(m.MappingID, prefix) && strings.Contains(m.MappingID, part) {
			return m
		}
	}
	return nil
}

// cryptoNames lists what of the kernel's crypto API opens a container: the parts of a cipher such as aes-xts-plain64 or
// aes-cbc-essiv:sha256, and the hashes of the key slots.
func cryptoNames(h luks.Header) []string {
	var out []string
	add := func(name string) {
		name = printable(strings.ToValidUTF8(name, "?"))
		if name != "" && !slices.Contains(out, name) && !strings.HasPrefix(name, "plain") {
			out = append(out, name)
		}
	}
	cipher := func(s string) {
		for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune("-:(),", r) }) {
			add(part)
		}
	}
	cipher(h.Cipher)
	for _, s := range h.Slots {
		cipher(s.Cipher)
		add(s.Hash)
	}
	return out
}
