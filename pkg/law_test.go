package pkg

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// judgement collects every law that a file breaks.
type judgement struct {
	set   *token.FileSet
	name  string
	file  *ast.File
	room  *room
	test  bool              // a _test.go file, or one of a room that is part of the tests
	local map[string]string // local name -> import path
	used  []exemption
	names []string // of things that have another home, as offences
	out   []string
}

// judge holds product code to every law. A test may run programs, make system calls, keep state and talk, but what it
// imports of ours is its room's affair.
func (j *judgement) judge() {
	for _, n := range []string{strings.TrimSuffix(j.file.Name.Name, "_test"), path.Base(path.Dir(j.name))} {
		if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "misc"}, n) {
			j.add(j.file.Name, "package named %s: say what it is for; a name that fits everything collects everything", n)
			break
		}
	}
	if j.room == nil {
		j.add(j.file.Name, "directory %s: in no room; add a row with its verb and reason to pkg/rooms_test.go", path.Dir(j.name))
		return
	}
	j.imports()
	j.literals()
	if j.test {
		return
	}
	j.declarations()
	j.uses()
	j.writes()
}

func (j *judgement) add(at ast.Node, format string, args ...any) {
	where := j.set.Position(at.Pos())
	j.out = append(j.out, fmt.Sprintf("%s:%d: %s", j.name, where.Line, fmt.Sprintf(format, args...)))
}

func (j *judgement) imports() {
	j.local = map[string]string{}
	pass := j.room.pass
	if j.test {
		pass.exec, pass.syscall, pass.test = true, true, true
	}
	for _, imp := range j.file.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			j.add(imp, "import %s: %v", imp.Path.Value, err)
			continue
		}
		as := path.Base(p)
		if imp.Name != nil {
			as = imp.Name.Name
		}
		j.local[as] = p
		if as == "." {
			j.add(imp, "import . %q: a dot import hides whose name is used, from this test too", p)
		}
		switch {
		case p == module || strings.HasPrefix(p, module+"/"):
			j.ours(imp, strings.TrimPrefix(strings.TrimPrefix(p, module), "/"))
		case p == "os/exec" && !pass.exec:
			j.add(imp, "import %q: only pkg/machine runs programs; return argv and let machine.Exec run it, so that a dry run prints it", p)
		case (p == "syscall" || p == "golang.org/x/sys" || strings.HasPrefix(p, "golang.org/x/sys/")) && !pass.syscall:
			j.add(imp, "import %q: only pkg/machine, pkg/tree and pkg/extent make system calls; ask for a verb there, and for a constant spell it with its source", p)
		case p == "log" && !pass.test:
			j.add(imp, "import %q: it is a global with its own format and exits; return errors, send events, or use log/slog", p)
		case p == "C":
			j.add(imp, "import \"C\": the binary is static; without cgo this file is silently left out")
		case slices.Contains([]string{"net/http", "text/template", "html/template", "plugin"}, p) && !pass.test:
			j.add(imp, "import %q: it costs the image some 2 MB; the binary is in every image and has a budget", p)
		}
	}
}

func (j *judgement) ours(imp *ast.ImportSpec, dir string) {
	to := roomOf(dir)
	switch {
	case to == nil:
		j.add(imp, "import of %s: it is no room; add a row to pkg/rooms_test.go", dir)
	case to.path == j.room.path, slices.Contains(j.room.may, to.path), j.room.pass.anyRoom && !to.pass.test:
	case j.test && (slices.Contains(j.room.test, to.path) || to.pass.test && strings.HasPrefix(to.path, "pkg/")), j.exempt(to.path):
	case j.test:
		j.add(imp, "a test of %s (%s) imports %s (%s): %s; what its tests need beyond that is a column of its row", j.room.path, j.room.verb, to.path, to.verb, j.room.why)
	default:
		j.add(imp, "%s (%s) imports %s (%s): %s", j.room.path, j.room.verb, to.path, to.verb, j.room.why)
	}
}

func (j *judgement) exempt(what string) bool {
	for _, e := range exemptions() {
		if e.file == j.name && e.may == what {
			j.used = append(j.used, e)
			return true
		}
	}
	return false
}

func (j *judgement) declarations() {
	for _, d := range j.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				j.add(d, "func init: order and effect are invisible; write an explicit table or a constructor")
			}
		case *ast.GenDecl:
			if d.Tok != token.VAR {
				continue
			}
			for _, s := range d.Specs {
				if v := s.(*ast.ValueSpec); !j.allowedVar(d, v) {
					j.add(v, "package-level var %s: state that two tests, or two runs, would share; make it a const, a function that returns it, or a field. "+
						"Allowed are errors made by errors.New or fmt.Errorf, interface assertions to _, embedded strings, and //nolint:gochecknoglobals with a reason", names(v))
				}
			}
		}
	}
}

// excused is golangci's directive followed by a reason in words.
func excused(groups ...*ast.CommentGroup) bool {
	re := regexp.MustCompile(`^//nolint:([a-z,]*,)?gochecknoglobals(,[a-z,]*)? // *\pL.{3,}`)
	for _, g := range groups {
		if g == nil {
			continue
		}
		for _, c := range g.List {
			if re.MatchString(c.Text) {
				return true
			}
		}
	}
	return false
}

func (j *judgement) allowedVar(d *ast.GenDecl, v *ast.ValueSpec) bool {
	if excused(v.Doc, v.Comment) || !d.Lparen.IsValid() && excused(d.Doc) {
		return true
	}
	if id, ok := v.Type.(*ast.Ident); ok && id.Name == "string" && embedded(d.Doc, v.Doc) {
		return true
	}
	for i, n := range v.Names {
		if n.Name == "_" && v.Type != nil {
			continue
		}
		if len(v.Values) != len(v.Names) {
			return false
		}
		call, ok := v.Values[i].(*ast.CallExpr)
		if !ok || !j.is(call.Fun, "errors", "New") && !j.is(call.Fun, "fmt", "Errorf") {
			return false
		}
	}
	return true
}

// embedded finds the directive: the compiler writes such a string, the nearest thing to a const that a file can be.
func embedded(groups ...*ast.CommentGroup) bool {
	for _, g := range groups {
		for i := 0; g != nil && i < len(g.List); i++ {
			if strings.HasPrefix(g.List[i].Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

func names(v *ast.ValueSpec) string {
	var out []string
	for _, n := range v.Names {
		out = append(out, n.Name)
	}
	return strings.Join(out, ", ")
}

// is reports whether an expression names pkg.name, under whatever local name the package was imported.
func (j *judgement) is(e ast.Expr, pkg string, names ...string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	// An identifier with an object is a variable that shadows the import.
	return ok && x.Obj == nil && j.local[x.Name] == pkg && slices.Contains(names, s.Sel.Name)
}

func (j *judgement) uses() {
	pass := j.room.pass
	ast.Inspect(j.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			switch {
			case !pass.test && j.is(n, "time", "Sleep"):
				j.add(n, "time.Sleep: wait for the event itself, with a deadline (machine.WaitUntil), or for a timer and the context")
			case !pass.print && j.is(n, "fmt", "Print", "Printf", "Println"):
				j.add(n, "fmt.%s: only cmd talks; return a value, an error or an event", n.Sel.Name)
			case !pass.exec && j.is(n, "os", "StartProcess"):
				j.add(n, "os.StartProcess: only pkg/machine runs programs")
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "print" || id.Name == "println") {
				j.add(n, "%s: the builtin is for the runtime's own debugging", id.Name)
			}
		}
		return true
	})
}
