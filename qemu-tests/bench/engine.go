package main

// engine is a way to copy. Words of a command: SRC and DST are the mount points,
// or for block engines the devices; DRIVER is the engines' process, FS the
// filesystem's type, STATE a file for what one pass leaves to the next.
type engine struct {
	pass
	tool  string // that has to be installed
	only  string // the filesystem it knows
	block bool   // copies devices, not mounted directories
	then  []pass // measured after it
}

// pass is one or, as a pipe, two commands.
type pass struct {
	name string
	argv []string
	into []string
}

func allEngines() []engine {
	driver := func(what string) []string {
		return []string{"DRIVER", "-test.run=^TestDriver$", "-test.timeout=0", "-test.v=false", what, "SRC", "DST", "STATE"}
	}
	return []engine{
		{pass: pass{name: "tree", argv: driver("tree")}, then: []pass{{name: "verify", argv: driver("tree-verify")}}},
		{pass: pass{name: "cp -ax", argv: []string{"cp", "-ax", "SRC/.", "DST"}}, tool: "cp"},
		{pass: pass{name: "rsync -aHAXSx", argv: []string{"rsync", "-aHAXSx", "SRC/", "DST/"}}, tool: "rsync"},
		{pass: pass{name: "tar", argv: []string{"tar", "-C", "SRC", "--one-file-system", "--xattrs", "--acls", "-S", "-cf", "-", "."},
			into: []string{"tar", "-C", "DST", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf", "-"}}, tool: "tar"},
		{pass: pass{name: "extent", argv: driver("extent")}, block: true, then: []pass{{name: "verify", argv: driver("extent-verify")}}},
		{pass: pass{name: "partclone", argv: []string{"partclone.FS", "-b", "-q", "-L", "/dev/null", "-s", "SRC", "-O", "DST"}}, tool: "partclone.FS", block: true},
		{pass: pass{name: "e2image -ra", argv: []string{"e2image", "-ra", "SRC", "DST"}}, tool: "e2image", only: "ext4", block: true},
		{pass: pass{name: "raw", argv: driver("raw")}, block: true, then: []pass{{name: "read", argv: driver("raw-read")}}},
	}
}
