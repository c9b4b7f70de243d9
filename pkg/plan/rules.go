package plan

import (
	"slices"
	"strings"
)

// Rules are what this program can do with an installed system: rows of the tables of rooms that plan does not import, as
// far as looking and deciding need them. Whoever surveys a machine hands them in, and the facts carry them along.
type Rules struct {
	Families   []Family
	Generators []Generator
	Loaders    []Loader
	// Memory says how many bytes of memory an engine needs for a filesystem, at least and at most; nil where nothing is copied.
	Memory func(engine string, size, used, inodes int64) (least, most int64)
}

// Loader returns the row with a name, or a zero one.
func (r Rules) Loader(name string) Loader {
	for _, x := range r.Loaders {
		if x.Name == name && name != "" {
			return x
		}
	}
	return Loader{}
}

// Family is what looking and deciding need to know of a family of distributions. The zero value is one that is not known.
// Packages have the names that upstream gives them.
type Family struct {
	Name  string
	Title string   // for a sentence, as "Fedora and its relatives"
	IDs   []string // one of them is ID or in ID_LIKE of os-release

	// Commands for people. PACKAGES stands for the names.
	Install   string
	Reinstall string
	Tidy      string // frees room where kernels are
	Kernel    string // the package of a kernel; RELEASE stands for its release

	Kernels string   // pattern of kernel images, without the leading slash
	State   []string // directories that the package tools write while the copied system is rebuilt

	MDConf string // where mdadm's configuration is; without the leading slash, "" when no array can be moved to
	// MDConfElse are the files that mdadm reads instead where that one is not there, the first that is.
	MDConfElse []string
	Debconf    string // debconf's database, which is rewritten and so has to be readable; without the leading slash, "" for none

	// Installed picks those of some packages that are installed; read returns a file of the system, "" for none.
	Installed func(read func(name string) string, packages []string) []string
	// Version is the upstream version of an installed package, "" where it is not known; nil: it never is.
	Version func(read func(name string) string, pkg string) string
}

// Generator is what looking and deciding need to know of an initramfs generator.
type Generator struct {
	Name     string
	Program  string // a system that has this file uses it; without the leading slash
	Rebuilds bool   // it can be run for a migrated system
	// Settings are the files of the system that say what goes into an initrd and what it waits for.
	Settings []Settings
	// InitrdOf is the path of a kernel image's initrd, both without the leading slash.
	InitrdOf func(kernel string) string
}

// Texts are patterns of files that name devices on any system, without the leading slash: the command line of kernels to
// come, boot entries that boot loaders share (no loader reads one under another name), and mount units of systemd.
func Texts() []string {
	return []string{"etc/kernel/cmdline", "boot/loader/entries/*.conf", "etc/systemd/system/*.mount"}
}

// Settings are shell-like files. Pattern is without the leading slash.
type Settings struct {
	Pattern string
	Devices []string // variables whose values name devices
	Resume  string   // that of them which the boot waits for, to resume from hibernation; "" for none
}

// Family returns the row with a name, or a zero one.
func (r Rules) Family(name string) Family {
	for _, x := range r.Families {
		if x.Name == name && name != "" {
			return x
		}
	}
	return Family{}
}

// Generator returns the row with a name, or a zero one.
func (r Rules) Generator(name string) Generator {
	for _, x := range r.Generators {
		if x.Name == name && name != "" {
			return x
		}
	}
	return Generator{}
}

// rebuilt names the systems that can be rebuilt.
func (r Rules) rebuilt() string {
	var families, generators []string
	for _, x := range r.Families {
		families = append(families, x.Title)
	}
	for _, x := range r.Generators {
		if x.Rebuilds {
			generators = append(generators, x.Name)
		}
	}
	return listed(families, "and") + " with " + listed(generators, "or")
}

// InstallCommand is the command that installs packages.
func (x Family) InstallCommand(packages ...string) string {
	return command(x.Install, "install the package PACKAGES", packages)
}

// ReinstallCommand is the command that installs packages again.
func (x Family) ReinstallCommand(packages ...string) string {
	return command(x.Reinstall, "reinstall the package PACKAGES", packages)
}

// ReinstallKernel is the command that installs the package of a kernel again.
func (x Family) ReinstallKernel(release string) string {
	if x.Kernel == "" {
		return "reinstall the package of kernel " + release
	}
	return x.ReinstallCommand(strings.ReplaceAll(x.Kernel, "RELEASE", release))
}

func command(template, unknown string, packages []string) string {
	if template == "" {
		template = unknown
	}
	return strings.ReplaceAll(template, "PACKAGES", strings.Join(packages, " "))
}

// packageMD has the program that assembles arrays.
const packageMD = "mdadm"

// Packages lists what any migrated system may need, for those who look whether it is installed.
func Packages() []string {
	out := []string{packageMD}
	for _, t := range FSTypes() {
		if p := t.Tools.Package; t.Movable && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// packages lists what the migrated system cannot boot without.
func (p *Plan) packages() []string {
	var out []string
	if len(p.Target.Arrays()) > 0 {
		out = append(out, packageMD)
	}
	for _, n := range p.Target.Filesystems() {
		if pkg := FSTypeOf(n.FS.Type).Tools.Package; pkg != "" && !slices.Contains(out, pkg) {
			out = append(out, pkg)
		}
	}
	return out
}
