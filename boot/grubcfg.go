package boot

import (
	"fmt"
	"strings"
)

// GRUBConfig is what the text of a grub.cfg says. Nothing is evaluated: a statement under a condition counts as if it
// were executed.
type GRUBConfig struct {
	SourcesCustom bool // it reads custom.cfg from its own directory (grub.d/41_custom)
	LoadsEnv      bool // it reads grubenv
	NextEntry     bool // it boots next_entry once: it makes it the default, clears it and saves that
	BLS           bool // it calls blscfg: the entries are in loader/entries
	DefaultLast   bool // it sets default after it has read custom.cfg
	Ends          int  // the first line that ends or leaves the script (return, exit, configfile); 0 for none
	Superusers    bool // it asks for a password, unless an entry is --unrestricted
	Timeout       string
	Defaults      []string // values to which default is set, in the order of the text, variables as ${name}
	Entries       []GRUBEntry
	Mentions      []Mention
}

// GRUBEntry is a menuentry, at the top level or in a submenu.
type GRUBEntry struct {
	Title        string
	ID           string   // "" for none; GRUB then uses the title
	Submenus     []string // ids (or titles) of the submenus around it, outermost first
	Kernel       string   // path as GRUB sees it, variables as ${name}
	Cmdline      string   // arguments of the linux command, joined by blanks, those with blanks quoted
	Initrds      []string
	Unrestricted bool
	Line         int
}

// ParseGRUBConfig reads a grub.cfg or custom.cfg (the syntax of grub-core/script/yylex.l). It returns an error if
// quotes or braces do not end, or for more than 8 MiB.
func ParseGRUBConfig(data []byte) (GRUBConfig, error) {
	const limit = 8 << 20
	if len(data) > limit {
		return GRUBConfig{}, fmt.Errorf("grub script: %d bytes, more than the %d accepted", len(data), limit)
	}
	tokens, err := grubLex(string(data))
	if err != nil {
		return GRUBConfig{}, err
	}
	r := grubReader{entry: -1}
	for _, t := range tokens {
		if t.op == 0 {
			r.command = append(r.command, t.word)
			continue
		}
		if t.op != '{' {
			r.run()
		}
		switch t.op {
		case '{':
			r.open(t.word.line)
		case '}':
			if len(r.blocks) == 0 {
				return GRUBConfig{}, fmt.Errorf("grub script: line %d: closing brace without opening one", t.word.line)
			}
			r.close()
		}
	}
	r.run()
	if n := len(r.blocks); n > 0 {
		return GRUBConfig{}, fmt.Errorf("grub script: line %d: brace without end", r.blocks[n-1].line)
	}
	r.config.NextEntry = r.config.LoadsEnv && r.takesNext && r.clearsNext && r.savesNext
	return r.config, nil
}

// grubReader reads commands one by one; blocks are the open braces.
type grubReader struct {
	config  GRUBConfig
	command []grubWord
	blocks  []grubBlock
	entry   int // index of the menuentry being read, or -1

	takesNext, clearsNext, savesNext bool
}

type grubBlock struct {
	submenu string // its id or title
	isMenu  bool
	isEntry bool
	line    int
}

// reserved reports whether s is a keyword that may precede a command.
func reserved(s string) bool {
	switch s {
	case "if", "then", "elif", "else", "while", "until", "do", "!", "fi", "done":
		return true
	}
	return false
}

// ends reports whether a command outside of blocks keeps GRUB from executing what follows it.
func ends(command string) bool {
	switch command {
	case "return", "exit", "configfile", "normal", "normal_exit", "boot", "reboot", "halt":
		return true
	}
	return false
}

func (r *grubReader) take() []grubWord {
	words := r.command
	r.command = nil
	for len(words) > 0 && reserved(words[0].text) {
		words = words[1:]
	}
	return words
}

// open begins a block; the words before the brace say of which kind.
func (r *grubReader) open(line int) {
	words := r.take()
	b := grubBlock{line: line}
	if len(words) > 0 {
		title, id, free := entryWords(words[1:])
		switch words[0].text {
		case "menuentry":
			b.isEntry = true
			r.entry = len(r.config.Entries)
			e := GRUBEntry{Title: title, ID: id, Unrestricted: free, Line: words[0].line}
			for _, outer := range r.blocks {
				if outer.isMenu {
					e.Submenus = append(e.Submenus, outer.submenu)
				}
			}
			r.config.Entries = append(r.config.Entries, e)
		case "submenu":
			b.isMenu, b.submenu = true, or(id, title)
		}
		r.mention(words)
	}
	r.blocks = append(r.blocks, b)
}

func (r *grubReader) close() {
	n := len(r.blocks) - 1
	if r.blocks[n].isEntry {
		r.entry = -1
	}
	r.blocks = r.blocks[:n]
}

// entryWords reads the arguments of menuentry: grub-mkconfig writes $menuentry_id_option for --id.
func entryWords(words []grubWord) (title, id string, unrestricted bool) {
	for i := 0; i < len(words); i++ {
		w, value := words[i].text, ""
		if i+1 < len(words) {
			value = words[i+1].text
		}
		switch {
		case w == "--id" || w == "${menuentry_id_option}":
			id = value
			i++
		case w == "--class" || w == "--users" || w == "--hotkey" || w == "--source":
			i++
		case w == "--unrestricted":
			unrestricted = true
		case strings.HasPrefix(w, "--id="):
			id = w[len("--id="):]
		case !strings.HasPrefix(w, "--") && title == "":
			title = w
		}
	}
	return title, id, unrestricted
}

// run reads one command.
func (r *grubReader) run() {
	words := r.take()
	if len(words) == 0 {
		return
	}
	args := words[1:]
	if ends(words[0].text) && len(r.blocks) == 0 && r.config.Ends == 0 {
		r.config.Ends = words[0].line
	}
	switch words[0].text {
	case "source", ".", "configfile":
		for _, a := range args {
			r.config.SourcesCustom = r.config.SourcesCustom || strings.HasSuffix(a.text, "/custom.cfg")
		}
	case "load_env":
		r.config.LoadsEnv = true
	case "blscfg":
		r.config.BLS = true
	case "save_env":
		for _, a := range args {
			r.savesNext = r.savesNext || a.text == "next_entry"
		}
	case "set":
		r.set(args)
	case "linux", "linux16", "linuxefi":
		if r.entry >= 0 && len(args) > 0 {
			e := &r.config.Entries[r.entry]
			e.Kernel, e.Cmdline = args[0].text, kernelText(args[1:])
		}
	case "initrd", "initrd16", "initrdefi":
		if r.entry >= 0 {
			for _, a := range args {
				r.config.Entries[r.entry].Initrds = append(r.config.Entries[r.entry].Initrds, a.text)
			}
		}
	default:
		// Anything else with a '=' is an assignment (grub-core/script/execute.c).
		if strings.IndexByte(words[0].text, '=') > 0 {
			r.set(words[:1])
		}
	}
	r.mention(words)
}

func (r *grubReader) set(args []grubWord) {
	for _, a := range args {
		name, value, _ := strings.Cut(a.text, "=")
		switch name {
		case "default":
			r.config.DefaultLast = r.config.DefaultLast || r.config.SourcesCustom && len(r.blocks) == 0
			r.takesNext = r.takesNext || value == "${next_entry}" && a.vars
			r.config.Defaults = append(r.config.Defaults, value)
		case "next_entry":
			r.clearsNext = r.clearsNext || value == ""
		case "superusers":
			r.config.Superusers = r.config.Superusers || value != ""
		case "timeout":
			r.config.Timeout = value
		}
	}
}

// kernelText joins arguments as GRUB passes them to the kernel, except for backslashes.
func kernelText(args []grubWord) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a.text; strings.Contains(a.text, " ") {
			out[i] = `"` + a.text + `"`
		}
	}
	return strings.Join(out, " ")
}
