package boot

import "strings"

// MentionKind says what a word of grub.cfg names.
type MentionKind string

// The kinds of mentions.
const (
	MentionUUID   MentionKind = "uuid"   // 8-4-4-4-12 hex digits, anywhere in a word: a filesystem's or a partition's
	MentionMD     MentionKind = "mduuid" // 32 hex digits after mduuid/
	MentionSearch MentionKind = "search" // argument of a search command: UUID, label or file
	MentionRoot   MentionKind = "root"   // value of root= on a kernel command line
	MentionVolume MentionKind = "volume" // value of GRUB's own set root=, or root= alone
	MentionResume MentionKind = "resume" // value of resume= on a kernel command line
	MentionDevice MentionKind = "device" // a path below /dev
)

// Mention is one name of a device or filesystem; a UUID is in lower case.
type Mention struct {
	Kind  MentionKind
	Value string
	Line  int
}

// mention records the names in the words of one command.
func (r *grubReader) mention(words []grubWord) {
	for i, w := range words {
		for _, m := range Mentions(w.text) {
			m.Line = w.line
			if (words[0].text == "set" || i == 0) && m.Kind == MentionRoot {
				m.Kind = MentionVolume
			}
			r.config.Mentions = append(r.config.Mentions, m)
		}
	}
	if v := searched(words); v.text != "" {
		r.config.Mentions = append(r.config.Mentions, Mention{MentionSearch, v.text, v.line})
	}
}

// Mentions finds the names in a word or a text of several words: a kernel command line, a line of a configuration file.
func Mentions(text string) []Mention {
	var out []Mention
	for _, word := range splitWords(text) {
		if k, v, ok := strings.Cut(word, "="); ok && v != "" {
			switch strings.TrimLeft(k, `"'`) {
			case "root":
				out = append(out, Mention{Kind: MentionRoot, Value: strings.Trim(v, `"'`)})
			case "resume":
				out = append(out, Mention{Kind: MentionResume, Value: strings.Trim(v, `"'`)})
			}
		}
		out = append(out, identifiers(word)...)
	}
	return out
}

const (
	uuidLen       = 36
	devicePathMax = 512
)

// identifiers finds UUIDs, md UUIDs and device paths inside a word.
func identifiers(word string) []Mention {
	var out []Mention
	for i := 0; i < len(word); {
		rest := word[i:]
		switch {
		case len(rest) >= uuidLen && IsUUID(rest[:uuidLen]) && (i == 0 || !isHex(word[i-1])) && (len(rest) == uuidLen || !isHex(rest[uuidLen])):
			out = append(out, Mention{Kind: MentionUUID, Value: strings.ToLower(rest[:uuidLen])})
			i += uuidLen
		case strings.HasPrefix(rest, "mduuid/"):
			n := len("mduuid/")
			for n < len(rest) && isHex(rest[n]) {
				n++
			}
			if n == len("mduuid/")+32 {
				out = append(out, Mention{Kind: MentionMD, Value: strings.ToLower(rest[len("mduuid/"):n])})
			}
			i += n
		case strings.HasPrefix(rest, "/dev/") && (i == 0 || !isNameByte(word[i-1])):
			path := rest[:min(len(rest), devicePathMax)]
			if n := strings.IndexAny(path, "\"'),;|"); n >= 0 {
				path = path[:n]
			}
			out = append(out, Mention{Kind: MentionDevice, Value: path})
			// The path itself may contain a UUID: /dev/disk/by-uuid/...
			i += len("/dev/")
		default:
			i++
		}
	}
	return out
}

// searched returns what a search command looks for: its last argument that is not an option.
func searched(words []grubWord) grubWord {
	var found grubWord
	if len(words) == 0 {
		return found
	}
	switch words[0].text {
	case "search.fs_uuid", "search.fs_label", "search.file":
		// search.fs_uuid VALUE VARIABLE [HINT]
		if len(words) > 1 {
			return words[1]
		}
	case "search":
		for i := 1; i < len(words); i++ {
			switch w := words[i]; {
			case w.text == "--set" || w.text == "-s":
				// Its argument is optional: a variable name follows only if a value follows too.
				if i+2 < len(words) && !strings.HasPrefix(words[i+1].text, "-") {
					i++
				}
			case w.text == "--hint" || w.text == "-h":
				i++
			case !strings.HasPrefix(w.text, "-"):
				found = w
			}
		}
	}
	return found
}

// IsUUID reports whether s is 8-4-4-4-12 hex digits.
func IsUUID(s string) bool {
	if len(s) != uuidLen {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
