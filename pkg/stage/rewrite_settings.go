package stage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"migrate-init/boot"
	"migrate-init/pkg/conf"
	"migrate-init/pkg/fstab"
)

// settings rewrites the texts from which initrds and boot entries are made. In each of them a UUID of the old system
// becomes that of its successor wherever it stands. Other ways to name a device are only known in values that we can read.
func (r *rewriter) settings() error {
	to := r.renames()
	for _, x := range texts(r.loader, r.sys) {
		if x.by != here {
			continue
		}
		names, err := glob(r.root, x.Pattern)
		if err != nil {
			return err
		}
		for _, n := range names {
			change := func(b []byte) ([]byte, error) {
				b = r.successors(b)
				if x.Change == nil {
					return b, nil
				}
				return x.Change(to, b)
			}
			if err := r.edit("/"+n, change); err != nil {
				return err
			}
		}
	}
	return nil
}

// variables changes the values of a shell-like file; all other bytes stay. A value that only running the file could tell
// (KEY="$KEY crashkernel=1G") is left, as long as nothing in the file is of the old system.
func (r *rewriter) variables(b []byte, change func(string) string, keys ...string) ([]byte, error) {
	for _, k := range keys {
		v, found, err := conf.Get(b, k)
		if err != nil {
			if id := oldIdentity(r.p, conf.Uncommented(b)); id != "" {
				return nil, fmt.Errorf("it names %s of the old system, and cannot be rewritten: %w; name it by UUID there", id, err)
			}
			continue
		}
		n := change(v)
		if !found || n == v {
			continue
		}
		if b, err = conf.Set(b, k, n); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// params replaces what names an old device in the parameters of a kernel command line, alone or behind a key. Blanks stay.
func (r *rewriter) params(v string) string { return boot.EditCmdline(v, r.word) }

func (r *rewriter) word(p boot.Param) string {
	if to := r.becomes(fstab.ParseSpec(p.Word())); to != "" {
		return "UUID=" + to
	}
	if to := r.becomes(fstab.ParseSpec(p.Value)); to != "" {
		return p.Key + "=UUID=" + to
	}
	return p.Raw
}

// successors puts each filesystem's and swap area's new UUID in the place of its old one.
func (r *rewriter) successors(b []byte) []byte {
	for from, to := range r.ids {
		b = replaceID(b, from, to)
	}
	return b
}

// replaceID replaces a UUID in any case of its letters, where it is not a part of a longer one.
func replaceID(b []byte, from, to string) []byte {
	if from == "" {
		return b
	}
	low, key := lower(b), lower([]byte(from))
	var out []byte
	for at := 0; ; {
		i := bytes.Index(low[at:], key)
		if i < 0 {
			return append(out, b[at:]...)
		}
		i += at
		end := i + len(key)
		out = append(out, b[at:i]...)
		if i > 0 && isHex(b[i-1]) || end < len(b) && isHex(b[end]) {
			out = append(out, b[i:end]...)
		} else {
			out = append(out, to...)
		}
		at = end
	}
}

// lower leaves every byte where it is, unlike bytes.ToLower, for which some letters grow.
func lower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// place is where a file really is in the root, "" for one that is not there or is a directory.
func (r *rewriter) place(name string) (string, error) {
	at, err := throughLinks(r.root, name)
	if err != nil {
		return "", err
	}
	st, err := fs.Stat(r.root, nonRoot(at))
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.IsDir() {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("file %s: %w", name, err)
	}
	return path.Clean(at), nil
}
