package loader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"migrate-init/pkg/plan"
)

// Rules are the columns of the table by which a machine is looked at and a plan is made, those of loaders that are only
// recognised last.
func (t Table) Rules() []plan.Loader {
	var out []plan.Loader
	for _, l := range t {
		row := l.Loader
		for _, x := range l.Settings {
			row.Texts = append(row.Texts, x.Pattern)
		}
		row.Texts = append(append(row.Texts, l.Written...), l.Made...)
		out = append(out, row)
	}
	return append(out,
		recognised("systemd-boot", "boot/loader/loader.conf", "boot/efi/loader/loader.conf", "efi/loader/loader.conf"),
		recognised("extlinux", "boot/extlinux", "boot/syslinux"),
		recognised("lilo", "etc/lilo.conf"))
}

// recognised is a loader by which nothing can be scheduled; one of the files shows that it is there.
func recognised(name string, files ...string) plan.Loader {
	return plan.Loader{Name: name, Look: func(root fs.FS, f *plan.Facts) (plan.Boot, []plan.Problem, bool) {
		in := looking{root: root}
		return f.Boot, nil, slices.ContainsFunc(files, in.exists)
	}}
}

// looking reads a running system, and keeps what it could not read.
type looking struct {
	root     fs.FS
	problems []plan.Problem
}

func (l *looking) problem(subject string, err error) {
	if err != nil {
		l.problems = append(l.problems, plan.Problem{Subject: subject, Err: err.Error()})
	}
}

func (l *looking) exists(name string) bool {
	_, err := fs.Stat(l.root, strings.TrimPrefix(name, "/"))
	return err == nil
}

// text reads a file, nil when it does not exist; another failure is a problem.
func (l *looking) text(name string) []byte {
	const most = 64 << 20
	f, err := l.root.Open(strings.TrimPrefix(name, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.problem(name, err)
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		b, err = nil, fmt.Errorf("longer than %d bytes", most)
	}
	l.problem(name, err)
	return b
}
