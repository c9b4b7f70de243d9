package rootfs

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotDirectory is the cause of an [*Error] for a path that continues below something that is not a directory.
var ErrNotDirectory = errors.New("not a directory")

// ErrTooLong is the cause of an [*Error] for links whose targets add up to more than a path can hold.
var ErrTooLong = errors.New("path too long after following symbolic links")

// An Error says which element of a path could not be resolved.
type Error struct {
	Path string // as the caller gave it
	At   string // the element, as an absolute path in the root without links
	Err  error  // fs.ErrNotExist, ErrNotDirectory, ErrTooLong, or an error of the tree
}

func (e *Error) Error() string {
	if absolute(e.Path) == e.At {
		return fmt.Sprintf("path %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("path %s: %s: %v", e.Path, e.At, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// A Link is a symbolic link that was followed.
type Link struct {
	Path   string // absolute in the root; its directory has no links
	Target string // as stored
}

func (l Link) String() string { return l.Path + " -> " + l.Target }

// A LoopError says that a path leads through more symbolic links than the kernel follows.
type LoopError struct {
	Path  string // as the caller gave it
	Links []Link // one turn of the loop; all the links if none occurs twice
}

func (e *LoopError) Error() string {
	const most = 5 // enough for a person to see the loop
	var shown []string
	for _, l := range e.Links[:min(len(e.Links), most)] {
		shown = append(shown, l.String())
	}
	if len(e.Links) > most {
		shown = append(shown, fmt.Sprintf("and %d more", len(e.Links)-most))
	}
	return fmt.Sprintf("path %s: too many symbolic links: %s", e.Path, strings.Join(shown, ", "))
}

// loop returns the last turn of the loop that links ends in, or all links.
func loop(links []Link) []Link {
	last := len(links) - 1
	for i := last - 1; i >= 0; i-- {
		if links[i].Path == links[last].Path {
			return links[i:last]
		}
	}
	return links
}
