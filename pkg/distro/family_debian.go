package distro

import (
	"strings"

	"migrate-init/pkg/plan"
)

// debian is Debian and what is derived from it: dpkg, apt, and /boot/vmlinuz-RELEASE.
func debian() Family {
	return Family{
		Family: plan.Family{
			Name: "debian", Title: "Debian and its relatives", IDs: []string{"debian"},
			Install: "apt-get install PACKAGES", Reinstall: "apt-get install --reinstall PACKAGES", Tidy: "apt-get autoremove --purge", Kernel: "linux-image-RELEASE",
			Kernels: "boot/vmlinuz-*", State: []string{"/var/lib/dpkg"}, MDConf: "etc/mdadm/mdadm.conf", MDConfElse: []string{"etc/mdadm.conf"}, Debconf: "var/cache/debconf/config.dat", Installed: dpkgInstalled, Version: dpkgVersion,
		},
		Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"},
		Reads: []string{"var/lib/dpkg/status"},
	}
}

// dpkgInstalled reads dpkg's database (dpkg-query(1), the status file). A package that was removed may still have its
// stanza there.
func dpkgInstalled(read func(name string) string, packages []string) []string {
	have := map[string]bool{}
	for _, stanza := range strings.Split(read("var/lib/dpkg/status"), "\n\n") {
		name, ok := "", false
		for line := range strings.Lines(stanza) {
			if v, is := strings.CutPrefix(line, "Package: "); is {
				name = strings.TrimSpace(v)
			}
			if v, is := strings.CutPrefix(line, "Status: "); is {
				ok = strings.HasSuffix(strings.TrimSpace(v), " installed")
			}
		}
		have[name] = ok
	}
	var out []string
	for _, p := range packages {
		if have[p] {
			out = append(out, p)
		}
	}
	return out
}

// dpkgVersion cuts the epoch and Debian's revision off (deb-version(7)).
func dpkgVersion(read func(name string) string, pkg string) string {
	for _, stanza := range strings.Split(read("var/lib/dpkg/status"), "\n\n") {
		if !strings.HasPrefix(stanza, "Package: "+pkg+"\n") && !strings.Contains(stanza, "\nPackage: "+pkg+"\n") {
			continue
		}
		for line := range strings.Lines(stanza) {
			v, is := strings.CutPrefix(line, "Version: ")
			if !is {
				continue
			}
			v = strings.TrimSpace(v)
			v = v[strings.IndexByte(v, ':')+1:]
			if i := strings.LastIndexByte(v, '-'); i >= 0 {
				v = v[:i]
			}
			return v
		}
	}
	return ""
}
