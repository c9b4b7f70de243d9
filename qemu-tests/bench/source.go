package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maker fills one source. All that it makes follows from the seed.
type maker struct {
	root  string
	rnd   *rand.Rand
	noise []byte // what files are filled from
	n     int
	err   error
}

// fill makes the source called name in dir:
//
//	real   this machine's /usr, Go's tree in it: 150,000 names where this was written. Of a scale below 1, that share of its directories
//	root   about 195,000 names, 4 GB: 1,900 packages over /usr and /var/lib, a mail spool, a few large files
//	tiny   300,000 files of 0 to 4 KiB, 200 to a directory
//	large  8 files of 1 GiB, of which one has a 64 KiB piece of data every MiB
func fill(name, dir string, seed uint64, scale float64) error {
	m := &maker{root: dir, rnd: rand.New(rand.NewPCG(seed, 0)), noise: make([]byte, 32<<20)}
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(m.noise)
	switch name {
	case "real":
		m.do(m.machine(scale))
	case "root":
		m.system(scale)
	case "tiny":
		for i := range int(300_000 * scale) {
			d := fmt.Sprintf("d%02d/e%03d", i/20_000, i/200)
			if i%200 == 0 {
				m.mkdir(d)
			}
			m.file(fmt.Sprintf("%s/file-%06d", d, i), m.rnd.Int64N(4097), 0o644, 0)
		}
	case "large":
		for i := range 8 {
			m.large(fmt.Sprintf("large-%d", i), int64(scale*float64(1<<30)), i == 7)
		}
	default:
		return fmt.Errorf("source %q: real, root, tiny or large expected", name)
	}
	return m.err
}

func (m *maker) do(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *maker) at(name string) string { return path.Join(m.root, name) }

func (m *maker) mkdir(name string) { m.do(os.MkdirAll(m.at(name), 0o755)) }

// lognormal sizes: most files are small, most bytes are in few.
func (m *maker) lognormal(median, sigma float64, most int64) int64 {
	return min(most, int64(median*math.Exp(sigma*m.rnd.NormFloat64())))
}

func (m *maker) bytes(n int64) []byte {
	n = min(n, int64(len(m.noise))/2)
	at := m.rnd.Int64N(int64(len(m.noise)) - n + 1)
	return m.noise[at : at+n]
}

func (m *maker) file(name string, size int64, mode uint32, uid int) {
	if m.err != nil {
		return
	}
	fd, err := unix.Open(m.at(name), unix.O_CREAT|unix.O_WRONLY|unix.O_EXCL, mode)
	if err != nil {
		m.do(fmt.Errorf("%s: %w", name, err))
		return
	}
	for left := size; left > 0 && m.err == nil; {
		n, err := unix.Write(fd, m.bytes(left))
		m.do(err)
		left -= int64(n)
	}
	if uid != 0 {
		m.do(unix.Fchown(fd, uid, 8))
	}
	t := unix.NsecToTimeval(1_500_000_000e9 + m.rnd.Int64N(200_000_000e9))
	m.do(unix.Futimes(fd, []unix.Timeval{t, t}))
	m.do(unix.Close(fd))
	m.n++
}

func (m *maker) large(name string, size int64, sparse bool) {
	if !sparse {
		m.file(name, size, 0o600, 0)
		return
	}
	f, err := os.Create(m.at(name))
	m.do(err)
	if m.err != nil {
		return
	}
	m.do(f.Truncate(size))
	for at := int64(0); at < size; at += 1 << 20 {
		_, err := f.WriteAt(m.bytes(min(64<<10, size-at)), at)
		m.do(err)
	}
	m.do(f.Close())
}

// machine copies what is installed here, by directories of /usr and, where that lies elsewhere, Go.
func (m *maker) machine(scale float64) error {
	dirs, err := filepath.Glob("/usr/*/*")
	if err != nil {
		return err
	}
	goroot, err := tool("go", "env", "GOROOT")
	if err == nil && !strings.HasPrefix(goroot, "/usr/") {
		dirs = append(dirs, goroot)
	}
	var take []string
	for _, d := range dirs {
		if scale >= 1 || m.rnd.Float64() < scale {
			take = append(take, d)
		}
	}
	below := map[string][]string{}
	for _, d := range take {
		below[path.Dir(d)] = append(below[path.Dir(d)], d)
	}
	for dir, names := range below {
		m.mkdir(dir)
		for some := range slices.Chunk(names, 500) {
			if _, err := tool("cp", append(append([]string{"--archive", "--one-file-system"}, some...), m.at(dir))...); err != nil {
				return err
			}
		}
	}
	return nil
}

// system is like a Debian server that ran for some years.
func (m *maker) system(scale float64) {
	for _, d := range []string{"usr/bin", "usr/lib/x86_64-linux-gnu", "usr/share/doc", "usr/share/man/man1", "usr/share/locale", "var/lib/dpkg/info", "var/mail", "var/log/journal", "etc", "srv"} {
		m.mkdir(d)
	}
	for i := range int(1900 * scale) {
		m.pack(i)
	}
	for user := range int(60 * scale) {
		box := fmt.Sprintf("var/mail/user%02d", user)
		for _, d := range []string{"/cur", "/new", "/tmp"} {
			m.mkdir(box + d)
		}
		for i := range 600 {
			m.file(fmt.Sprintf("%s/cur/%d.M%dP%d.host:2,S", box, 1_600_000_000+i*977, i, user), m.lognormal(6000, 1.2, 25<<20), 0o600, 1000+user)
		}
	}
	mib := func(n float64) int64 { return int64(n * scale * float64(1<<20)) }
	m.large("srv/database", mib(512), false)
	m.large("var/log/syslog", mib(256), false)
	m.large("srv/disk.img", mib(1024), true)
	for i := range 12 {
		m.large(fmt.Sprintf("var/log/journal/system-%02d.journal", i), mib(16), false)
	}
}

// pack is one package: about 80 files over several directories.
func (m *maker) pack(i int) {
	name := fmt.Sprintf("package-%04d", i)
	doc, lib, data := "usr/share/doc/"+name, "usr/lib/"+name, "usr/share/"+name
	for _, d := range []string{doc, lib, lib + "/plugins", data, data + "/icons/48x48", data + "/templates/default"} {
		m.mkdir(d)
	}
	sub := []string{lib, lib + "/plugins", data, data + "/icons/48x48", data + "/templates/default"}
	for _, f := range []string{"copyright", "changelog.Debian.gz", "README"} {
		m.file(doc+"/"+f, m.lognormal(3000, 1, 1<<20), 0o644, 0)
	}
	for _, f := range []string{".list", ".md5sums", ".postinst", ".prerm"} {
		m.file("var/lib/dpkg/info/"+name+f, m.lognormal(1500, 1.2, 1<<20), 0o644, 0)
	}
	m.file("usr/bin/tool-"+name, m.lognormal(60_000, 1.3, 40<<20), 0o755, 0)
	m.file("usr/share/man/man1/"+name+".1.gz", m.lognormal(2500, 0.8, 1<<20), 0o644, 0)
	so := fmt.Sprintf("usr/lib/x86_64-linux-gnu/lib%s.so", name)
	m.file(so+".1.0", m.lognormal(120_000, 1.3, 60<<20), 0o644, 0)
	for _, l := range []string{so, so + ".1"} {
		m.do(os.Symlink(path.Base(so)+".1.0", m.at(l)))
	}
	for j := range 56 + m.rnd.IntN(20) {
		f := fmt.Sprintf("%s/part-%d-%x.dat", sub[m.rnd.IntN(len(sub))], j, m.rnd.Uint32())
		m.file(f, m.lognormal(3000, 1.6, 30<<20), 0o644, 0)
		switch {
		case j == 0 && i%4 == 0:
			m.do(os.Link(m.at(f), m.at(doc+"/same")))
		case j == 1 && i%8 == 0:
			m.do(unix.Setxattr(m.at(f), "user.origin", []byte(name), 0))
		case j == 2:
			m.do(os.Symlink("../"+path.Base(f), m.at(doc+"/link")))
		}
	}
	// capability.h: VFS_CAP_REVISION_2, cap_net_raw+ep
	if i%60 == 0 {
		m.do(unix.Setxattr(m.at("usr/bin/tool-"+name), "security.capability", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0))
	}
}
