package md

import (
	"bytes"
	"strings"
)

// Conf is an mdadm.conf, kept byte for byte.
//
// The syntax is mdadm's (lib.c conf_word, config.c). Blanks separate words. A
// line that begins with a blank continues the previous stanza, even across
// comments and empty lines. A '#' where a word could begin starts a comment.
// ' and " quote anywhere in a word, at most to the end of the line. A keyword may
// be abbreviated to three letters, in either case.
type Conf struct {
	lines   [][]byte // with their line endings
	stanzas []stanza
}

type stanza struct {
	keyword string // full, lower case; "" when unknown
	words   []string
	lines   []int // indexes of the physical lines that hold its words
}

// ArrayLine is one ARRAY stanza.
type ArrayLine struct {
	Device   string // "" or /dev/md/…, or <ignore>
	UUID     UUID   // zero: not given
	Name     string
	Metadata string
	Devices  []string
	Minor    int // super-minor=; -1: not given
	// Container and Member name an array inside a container.
	Container, Member string
	Line              int // counted from 1
}

func confKeywords() []string {
	return []string{"devices", "array", "mailaddr", "mailfrom", "program", "create", "homehost", "homecluster", "auto",
		"policy", "part-policy", "sysfs", "monitordelay", "encryption_no_verify", "probing", "imsm_disable_orom"}
}

// keyword resolves an abbreviation; the first match in the table wins, as in mdadm.
func keyword(word string) string {
	if len(word) < 3 {
		return ""
	}
	for _, k := range confKeywords() {
		if len(word) <= len(k) && strings.EqualFold(word, k[:len(word)]) {
			return k
		}
	}
	return ""
}

// ParseConf reads an mdadm.conf. It accepts every input and keeps unknown words.
func ParseConf(b []byte) Conf {
	var c Conf
	for line := range bytes.Lines(b) {
		c.lines = append(c.lines, bytes.Clone(line))
	}
	for i, line := range c.lines {
		words, _ := confWords(line)
		if len(words) == 0 {
			continue
		}
		last := len(c.stanzas) - 1
		if last >= 0 && (line[0] == ' ' || line[0] == '\t') {
			c.stanzas[last].words = append(c.stanzas[last].words, words...)
			c.stanzas[last].lines = append(c.stanzas[last].lines, i)
			continue
		}
		c.stanzas = append(c.stanzas, stanza{keyword: keyword(words[0]), words: words, lines: []int{i}})
	}
	return c
}

// confWords splits one physical line into words; comment includes its '#'.
func confWords(line []byte) (words []string, comment []byte) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	for i := 0; i < len(line); {
		switch {
		case line[i] == ' ' || line[i] == '\t':
			i++
			continue
		case line[i] == '#':
			return words, line[i:]
		}
		var w []byte
		var quote byte
		for ; i < len(line) && (quote != 0 || line[i] != ' ' && line[i] != '\t'); i++ {
			switch c := line[i]; {
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '\'' || c == '"'):
				quote = c
			default:
				w = append(w, c)
			}
		}
		words = append(words, string(w))
	}
	return words, nil
}

// Arrays lists the ARRAY stanzas in order.
func (c Conf) Arrays() []ArrayLine {
	var out []ArrayLine
	for _, s := range c.stanzas {
		if s.keyword == "array" {
			out = append(out, s.array())
		}
	}
	return out
}

func (s stanza) array() ArrayLine {
	a := ArrayLine{Line: s.lines[0] + 1, Minor: -1}
	for _, w := range s.words[1:] {
		k, v, tagged := strings.Cut(w, "=")
		if strings.HasPrefix(w, "/") || !tagged {
			if a.Device == "" {
				a.Device = w
			}
			continue
		}
		switch strings.ToLower(k) {
		case "uuid":
			if u, err := ParseUUID(strings.NewReplacer(".", "", " ", "").Replace(v)); err == nil && a.UUID.IsZero() {
				a.UUID = u
			}
		case "name":
			a.Name = v
		case "metadata":
			a.Metadata = v
		case "devices":
			a.Devices = strings.Split(v, ",")
		case "super-minor":
			a.Minor = minor(v)
		case "container":
			a.Container = v
		case "member":
			a.Member = v
		}
	}
	return a
}

// Devices lists the words of all DEVICE stanzas that mdadm uses. An empty list
// means mdadm's default: every partition and container.
func (c Conf) Devices() []string {
	var out []string
	for _, s := range c.stanzas {
		if s.keyword != "devices" {
			continue
		}
		for _, w := range s.words[1:] {
			if strings.HasPrefix(w, "/") || strings.EqualFold(w, "partitions") || strings.EqualFold(w, "containers") {
				out = append(out, w)
			}
		}
	}
	return out
}

// homeHost returns the first HOMEHOST word that names a host, such as <system>.
func (c Conf) homeHost() string {
	for _, s := range c.stanzas {
		if s.keyword != "homehost" {
			continue
		}
		for _, w := range s.words[1:] {
			if !strings.EqualFold(w, "<ignore>") {
				return w
			}
		}
	}
	return ""
}

// Covers reports whether the DEVICE stanzas let mdadm look at a device: there are
// none, one has the word partitions, or a pattern matches.
func (c Conf) Covers(device string) bool { return covers(c.Devices(), device) }

func covers(words []string, device string) bool {
	if len(words) == 0 {
		return true
	}
	for _, w := range words {
		if strings.EqualFold(w, "partitions") {
			return true
		}
		if fnmatch(w, device) {
			return true
		}
	}
	return false
}
