package pkg

import (
	"go/ast"
	"slices"
)

// files is what an exemption from the law of writing allows.
const files = "files"

// writers are the functions of os, and the methods of its File and Root, that change files. What they change is seen by
// no dry run and by no journal; only the rooms that do may call them.
func writers() []string {
	return []string{"WriteFile", "Create", "CreateTemp", "Mkdir", "MkdirAll", "MkdirTemp", "Remove", "RemoveAll", "Rename", "Truncate",
		"Chmod", "Chown", "Lchown", "Chtimes", "Link", "Symlink", "CopyFS"}
}

// writes finds calls that change files: of os by name, and of methods that are named as those of os.File and os.Root are.
func (j *judgement) writes() {
	if j.room.pass.write || j.room.pass.test {
		return
	}
	reads := map[ast.Node]bool{} // os.OpenFile, called so that it cannot write
	ast.Inspect(j.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
				switch {
				case j.is(sel, "os", "OpenFile") && len(n.Args) == 3:
					reads[sel] = readFlags(n.Args[1])
				case j.method(sel, writers()...) && !j.duration(n):
					j.write(n, "method "+sel.Sel.Name)
				}
			}
		case *ast.SelectorExpr:
			if j.is(n, "os", writers()...) || j.is(n, "os", "OpenFile") && !reads[n] {
				j.write(n, "os."+n.Sel.Name)
			}
		}
		return true
	})
}

func (j *judgement) write(at ast.Node, what string) {
	if !j.exempt(files) {
		j.add(at, "%s: only pkg/machine, pkg/tree and pkg/extent change files; make it an effect of machine, so that a dry run prints it, or give the file an exemption with its reason", what)
	}
}

// method reports whether a selector is a method call and not a package's function.
func (j *judgement) method(sel *ast.SelectorExpr, names ...string) bool {
	if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && j.local[x.Name] != "" {
		return false
	}
	return slices.Contains(names, sel.Sel.Name)
}

// duration: a time is truncated to a duration, and no file is touched.
func (j *judgement) duration(call *ast.CallExpr) bool {
	if len(call.Args) != 1 {
		return false
	}
	found := false
	ast.Inspect(call.Args[0], func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok && j.is(e, "time", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour") {
			found = true
		}
		return !found
	})
	return found
}

// readFlags reports whether a file opened with these flags can only be read. Flags in a variable cannot be told.
func readFlags(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return readFlags(e.X) && readFlags(e.Y)
	case *ast.ParenExpr:
		return readFlags(e.X)
	case *ast.BasicLit:
		return e.Value == "0"
	case *ast.SelectorExpr:
		return slices.Contains([]string{"O_RDONLY", "O_EXCL", "O_SYNC", "O_DIRECT", "O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY"}, e.Sel.Name)
	}
	return false
}
