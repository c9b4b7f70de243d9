package distro

import "migrate-init/pkg/plan"

// Generator is a row of the table of initramfs generators. One that a machine can only be seen to use has nothing but
// its name and its program.
type Generator struct {
	plan.Generator
	Rebuild func(p *plan.Plan) [][]string // the programs that make the initrds of all kernels again, in order
	Needs   func(p *plan.Plan) []Need     // what an initrd must have inside to start a degraded array as root
	Overlay func(p *plan.Plan) []File     // files that make it so where the distribution would not by itself
	// Reads are patterns of the files and directories that its result depends on, beyond those that end up in it: its
	// configuration, hooks, and what tells which modules there are. An initrd made earlier is only used when all of them are the same.
	Reads []string
	// Ahead gives files for making initrds on the running system, in an overlay of it: what the generator would otherwise look up
	// about devices that do not exist yet. They are not in the migrated system. nil: none.
	Ahead   func(in plan.Installed) []File
	Scratch string // the directory in which it works; "" where that is not known
	Create  string // the command that makes the first initrd of a kernel; RELEASE stands for its release
	Inside  string // prefix of the names of such files inside an initrd, "" for none
	// Questions are asked of a system whose initrds it makes.
	Questions []plan.Question
}

// Need is a fact to be proved of an initrd.
type Need struct {
	Why    string
	Path   string   // a file that must be there; "" for none
	Module string   // a module that must be there or be built in; "" for none
	Words  []string // words that the file must contain
}

// File is a file to write into the system.
type File struct {
	Path string
	Data []byte
	Mode uint32
	Why  string
}

// dracut can be seen on a machine; no system with it is rebuilt yet.
func dracut() Generator {
	return Generator{Generator: plan.Generator{Name: "dracut", Program: "usr/bin/dracut"}}
}
