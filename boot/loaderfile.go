package boot

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// LoaderFile is a file of "key value" lines, the format of Boot Loader Specification entries (loader/entries/*.conf)
// and of systemd-boot's loader.conf. A change affects one line.
type LoaderFile struct{ lines []string } // with their line endings

// ParseLoaderFile reads such a file. It keeps lines that are not a key and a value; only NUL bytes and more than 1 MiB
// are errors.
func ParseLoaderFile(data []byte) (LoaderFile, error) {
	const limit = 1 << 20
	if len(data) > limit {
		return LoaderFile{}, fmt.Errorf("loader file: %d bytes, more than the %d accepted", len(data), limit)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return LoaderFile{}, fmt.Errorf("loader file: NUL byte at offset %d, not a text file", i)
	}
	return LoaderFile{slices.Collect(strings.Lines(string(data)))}, nil
}

// Bytes renders the file.
func (f LoaderFile) Bytes() []byte { return []byte(strings.Join(f.lines, "")) }

// loaderLine finds key and value in a line; the value is line[start:end].
func loaderLine(line string) (key string, start, end int) {
	text := strings.TrimRight(line, " \t\r\n")
	from := len(text) - len(strings.TrimLeft(text, " \t"))
	n := strings.IndexAny(text[from:], " \t")
	if n < 0 || text[from] == '#' {
		return "", 0, 0
	}
	value := strings.TrimLeft(text[from+n:], " \t")
	return text[from : from+n], len(text) - len(value), len(text)
}

// All returns the values of every line with that key, in order.
func (f LoaderFile) All(key string) []string {
	var out []string
	for _, l := range f.lines {
		if k, a, b := loaderLine(l); k == key {
			out = append(out, l[a:b])
		}
	}
	return out
}

// Get returns the value of the last line with that key, and whether there is one.
func (f LoaderFile) Get(key string) (string, bool) {
	all := f.All(key)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// Options returns the kernel command line of a BLS entry: its options lines, joined by blanks. Variables such as
// Fedora's $kernelopts are not expanded.
func (f LoaderFile) Options() string { return strings.Join(f.All("options"), " ") }

// Set changes the last line with that key, or adds one at the end. It returns an error for a value that the format
// cannot express: empty, with outer blanks, or with a line ending.
func (f *LoaderFile) Set(key, value string) error {
	if strings.TrimSpace(value) != value || value == "" || strings.ContainsAny(value, "\r\n\x00") {
		return fmt.Errorf("loader file: %s: value %q: text without outer blanks and line endings expected", key, clip(value))
	}
	if key == "" || strings.ContainsAny(key, " \t\r\n\x00") || key[0] == '#' {
		return fmt.Errorf("loader file: key %q: a word expected", clip(key))
	}
	for i := len(f.lines) - 1; i >= 0; i-- {
		if k, a, b := loaderLine(f.lines[i]); k == key {
			f.lines[i] = f.lines[i][:a] + value + f.lines[i][b:]
			return nil
		}
	}
	if n := len(f.lines); n > 0 && !strings.HasSuffix(f.lines[n-1], "\n") {
		f.lines[n-1] += "\n"
	}
	f.lines = append(f.lines, key+" "+value+"\n")
	return nil
}

// SetOptions makes cmdline the whole kernel command line of a BLS entry: it writes the first options line and removes
// the others.
func (f *LoaderFile) SetOptions(cmdline string) error {
	first := true
	kept := LoaderFile{}
	for _, l := range f.lines {
		k, _, _ := loaderLine(l)
		if k != "options" || first {
			kept.lines = append(kept.lines, l)
		}
		first = first && k != "options"
	}
	if err := kept.Set("options", cmdline); err != nil {
		return err
	}
	*f = kept
	return nil
}

// Unset removes every line with that key.
func (f *LoaderFile) Unset(key string) {
	f.lines = slices.DeleteFunc(slices.Clone(f.lines), func(l string) bool {
		k, _, _ := loaderLine(l)
		return k == key
	})
}

// EntryName is the name of a BLS entry's file with its boot counters: ID+LEFT-DONE.conf (systemd's Automatic Boot
// Assessment).
type EntryName struct {
	ID       string // without counters and suffix
	Counting bool
	Left     int // tries left; 0 means that the entry is bad
	Done     int // tries made
}

// ParseEntryName reads a file name; ok is false if it is not that of an entry. A malformed counter is a part of the ID.
func ParseEntryName(file string) (e EntryName, ok bool) {
	id, ok := strings.CutSuffix(path.Base(file), ".conf")
	if !ok || id == "" {
		return EntryName{}, false
	}
	e = EntryName{ID: id}
	plus := strings.LastIndexByte(id, '+')
	if plus <= 0 {
		return e, true
	}
	left, done, both := strings.Cut(id[plus+1:], "-")
	l, okLeft := counter(left)
	d, okDone := counter(done)
	if !okLeft || both && !okDone {
		return e, true
	}
	return EntryName{ID: id[:plus], Counting: true, Left: l, Done: d}, true
}

func counter(s string) (int, bool) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
