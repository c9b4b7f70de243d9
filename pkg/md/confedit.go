package md

import (
	"bytes"
	"slices"
	"strings"
)

// ConfArray is an array that mdadm.conf must name exactly once.
type ConfArray struct {
	Device   string // /dev/md/root, /dev/md0; "" leaves the name to mdadm; Ignore keeps mdadm from starting it by itself
	UUID     UUID
	Metadata string   // "1.2"; "" writes no metadata= word
	Members  []string // paths of its members, which DEVICE must not exclude
}

// Ignore is the device name of an array that mdadm is not to start when it finds its members (mdadm.conf(5)).
const Ignore = "<ignore>"

// named reports whether the array has a device name, by which a line may mean it.
func (a ConfArray) named() bool { return a.Device != "" && a.Device != Ignore }

// SetArrays rewrites an mdadm.conf so that each given array has exactly one
// ARRAY line, which identifies it by UUID alone: a name= or devices= word would
// be one more thing that can stop matching.
//
// The first stanza for the array is replaced where it stands, later ones are
// removed, and new ones follow the last ARRAY line. A stanza is for the array if
// it has its UUID, or if it has no UUID but has its device name. If another
// array's stanza has that device name, it loses the name: mdadm starts neither of
// two arrays with one name. homehost becomes the HOMEHOST, unless it is empty or
// has more than one line. DEVICE stanzas are replaced by "DEVICE partitions
// containers" only if they exclude a member. Comments and all other lines stay as
// they are. A second call with the same arguments changes nothing.
func SetArrays(conf []byte, arrays []ConfArray, homehost string) []byte {
	c := ParseConf(conf)
	e := edit{Conf: c, replace: map[int][]byte{}}
	lastArray := -1
	for _, s := range c.stanzas {
		if s.keyword == "array" {
			lastArray = s.lines[len(s.lines)-1]
		}
	}
	done := map[UUID]bool{}
	for _, a := range arrays {
		if done[a.UUID] {
			continue
		}
		done[a.UUID] = true
		line := a.line()
		placed := false
		for _, s := range c.stanzas {
			if s.keyword != "array" {
				continue
			}
			if !a.meant(s.array()) {
				other := !slices.ContainsFunc(arrays, func(x ConfArray) bool { return x.meant(s.array()) })
				if other && a.named() && deviceName(s.array().Device) == deviceName(a.Device) {
					e.put(s, unnamed(s))
				}
				continue
			}
			if placed {
				e.drop(s)
			} else {
				e.put(s, line)
			}
			placed = true
		}
		if !placed {
			e.added = append(e.added, line...)
		}
	}
	e.after = lastArray
	e.devices(arrays)
	e.homehost(homehost)
	return e.bytes()
}

func (a ConfArray) meant(l ArrayLine) bool {
	if !l.UUID.IsZero() {
		return l.UUID == a.UUID
	}
	return a.named() && deviceName(l.Device) == deviceName(a.Device)
}

// unnamed returns an ARRAY stanza as a line without its device name.
func unnamed(s stanza) []byte {
	words := []string{s.words[0]}
	for _, w := range s.words[1:] {
		if !strings.HasPrefix(w, "/") && strings.Contains(w, "=") {
			words = append(words, quoteWord(w))
		}
	}
	return []byte(strings.Join(words, " ") + "\n")
}

func (a ConfArray) line() []byte {
	words := []string{"ARRAY"}
	if a.Device != "" {
		words = append(words, quoteWord(a.Device))
	}
	if a.Metadata != "" {
		words = append(words, "metadata="+a.Metadata)
	}
	return []byte(strings.Join(append(words, "UUID="+a.UUID.String()), " ") + "\n")
}

// quoteWord quotes a word that holds blanks, quotes or a '#'.
func quoteWord(w string) string {
	switch {
	case !strings.ContainsAny(w, " \t#'\""):
		return w
	case strings.Contains(w, "\""):
		return "'" + w + "'"
	}
	return "\"" + w + "\""
}

// edit collects changes by physical line; an empty replacement removes the line.
type edit struct {
	Conf
	replace map[int][]byte
	added   []byte // ARRAY lines to insert after line index `after`
	after   int
	tail    []byte // appended at the end
}

func (e *edit) put(s stanza, line []byte) {
	e.drop(s)
	first := s.lines[0]
	if comment := e.replace[first]; len(comment) > 0 {
		line = append(append(bytes.TrimSuffix(bytes.Clone(line), []byte("\n")), ' '), comment...)
	}
	e.replace[first] = line
}

// drop removes a stanza's lines but keeps the comments behind its words.
func (e *edit) drop(s stanza) {
	for _, l := range s.lines {
		e.replace[l] = nil
		if _, comment := confWords(e.lines[l]); len(comment) > 0 {
			e.replace[l] = append(bytes.Clone(comment), '\n')
		}
	}
}

func (e *edit) devices(arrays []ConfArray) {
	excluded := false
	for _, a := range arrays {
		for _, m := range a.Members {
			excluded = excluded || !e.Covers(m)
		}
	}
	if !excluded {
		return
	}
	placed := false
	for _, s := range e.stanzas {
		if s.keyword != "devices" {
			continue
		}
		if placed {
			e.drop(s)
		} else {
			e.put(s, []byte("DEVICE partitions containers\n"))
		}
		placed = true
	}
}

func (e *edit) homehost(want string) {
	if want == "" || strings.ContainsAny(want, "\r\n") || e.homeHost() == want {
		return
	}
	line := []byte("HOMEHOST " + quoteWord(want) + "\n")
	placed := false
	for _, s := range e.stanzas {
		if s.keyword != "homehost" {
			continue
		}
		for _, w := range s.words[1:] {
			if strings.EqualFold(w, "<ignore>") {
				line = []byte("HOMEHOST <ignore> " + quoteWord(want) + "\n")
			}
		}
		if placed {
			e.drop(s)
		} else {
			e.put(s, line)
		}
		placed = true
	}
	if !placed {
		e.tail = line
	}
}

func (e *edit) bytes() []byte {
	var b bytes.Buffer
	endLine := func() {
		if n := b.Len(); n > 0 && b.Bytes()[n-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	for i, l := range e.lines {
		if r, ok := e.replace[i]; ok {
			l = r
		}
		b.Write(l)
		if i == e.after && len(e.added) > 0 {
			endLine()
			b.Write(e.added)
			e.added = nil
		}
	}
	for _, l := range [][]byte{e.added, e.tail} {
		if len(l) > 0 {
			endLine()
			b.Write(l)
		}
	}
	return b.Bytes()
}
