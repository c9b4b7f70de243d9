package plan

import (
	"encoding/binary"
	"fmt"
	"io"
)

// NewUUID makes a random UUID (RFC 9562, version 4), lower case.
func NewUUID(r io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("random identity: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// newArrayUUID makes a random md UUID as mdadm writes it: four words of eight digits.
func newArrayUUID(r io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("random identity: %w", err)
	}
	w := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	return fmt.Sprintf("%08x:%08x:%08x:%08x", w(0), w(1), w(2), w(3)), nil
}

// maker hands out identities and remembers the first error, so that New reads as the plan does.
type maker struct {
	r   io.Reader
	err error
}

func (m *maker) uuid() string {
	s, err := NewUUID(m.r)
	if m.err == nil {
		m.err = err
	}
	return s
}

func (m *maker) array() string {
	s, err := newArrayUUID(m.r)
	if m.err == nil {
		m.err = err
	}
	return s
}
