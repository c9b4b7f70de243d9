package stage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"migrate-init/pkg/conf"
	"migrate-init/pkg/fstab"
)

// settings rewrites the texts from which initrds and boot entries are made. In each of them a UUID of the old system
// becomes that of its successor wherever it stands: GRUB_DEFAULT names menu entries by the root's UUID, and people write
// entries of their own into grub.d. Other ways to name a device are only known in values that we can read.
func (r *rewriter) settings() error {
	same := func(b []byte) ([]byte, error) { return b, nil }
	type setting struct {
		pattern string
		change  func([]byte) ([]byte, error)
	}
	list := []setting{
		{"etc/default/grub", r.grubVariables},
		{"etc/default/grub.d/*.cfg", r.grubVariables},
		{"etc/grub.d/*", same},
		{"etc/kernel/cmdline", func(b []byte) ([]byte, error) { return []byte(r.words(string(b))), nil }},
		{"boot/loader/entries/*.conf", same},
	}
	for _, x := range r.sys.Generator.Settings {
		list = append(list, setting{x.Pattern, func(b []byte) ([]byte, error) { return r.variables(b, r.words, x.Devices...) }})
	}
	for _, x := range list {
		names, err := glob(r.root, x.pattern)
		if err != nil {
			return err
		}
		for _, n := range names {
			if "/"+n == GRUBDropIn {
				continue
			}
			if err := r.edit("/"+n, func(b []byte) ([]byte, error) { return x.change(r.successors(b)) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rewriter) grubVariables(b []byte) ([]byte, error) {
	link := func(v string) string {
		if to := r.becomes(fstab.ParseSpec(v)); to != "" {
			return "/dev/disk/by-uuid/" + to
		}
		return v
	}
	// An array has no partition UUID: without one, GRUB takes that of the filesystem.
	none := func(v string) string {
		if r.becomes(fstab.Spec{Kind: fstab.PartUUID, Value: v}) != "" {
			return ""
		}
		return v
	}
	// The node of an array is not the same in every boot.
	byUUID := func(v string) string {
		if v == "true" {
			return "false"
		}
		return v
	}
	for _, x := range []struct {
		change func(string) string
		keys   []string
	}{
		{r.words, []string{"GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY"}},
		{link, []string{"GRUB_DEVICE", "GRUB_DEVICE_BOOT"}},
		{none, []string{"GRUB_DEVICE_PARTUUID", "GRUB_FORCE_PARTUUID"}},
		{byUUID, []string{"GRUB_DISABLE_UUID", "GRUB_DISABLE_LINUX_UUID"}},
	} {
		var err error
		if b, err = r.variables(b, x.change, x.keys...); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// variables changes the values of a shell-like file; all other bytes stay. A value that only running the file could tell
// (GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX crashkernel=1G") is left, as long as nothing in the file is of the old system.
func (r *rewriter) variables(b []byte, change func(string) string, keys ...string) ([]byte, error) {
	for _, k := range keys {
		v, found, err := conf.Get(b, k)
		if err != nil {
			if id := oldIdentity(r.p, uncommented(b)); id != "" {
				return nil, fmt.Errorf("it names %s of the old system, and cannot be changed: %w; name it by UUID there", id, err)
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

// words replaces what names an old device in the words of a kernel command line, alone or behind a key. Blanks stay.
func (r *rewriter) words(v string) string {
	var out strings.Builder
	for len(v) > 0 {
		n := strings.IndexAny(v, " \t\r\n")
		if n < 0 {
			n = len(v)
		}
		if n == 0 {
			out.WriteByte(v[0])
			v = v[1:]
			continue
		}
		out.WriteString(r.word(v[:n]))
		v = v[n:]
	}
	return out.String()
}

func (r *rewriter) word(w string) string {
	if to := r.becomes(fstab.ParseSpec(w)); to != "" {
		return "UUID=" + to
	}
	if key, val, ok := strings.Cut(w, "="); ok {
		if to := r.becomes(fstab.ParseSpec(val)); to != "" {
			return key + "=UUID=" + to
		}
	}
	return w
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
