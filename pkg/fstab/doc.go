// Package fstab reads and edits /etc/fstab and /etc/crypttab: it reads lines, reports what a line names, and changes
// single fields.
//
// Contract. Parsing and rendering without a change gives back the same bytes, whatever they are. A change of one field
// changes that field and, if spaces align the fields in columns, the run of spaces behind it, so that the next column
// stays in place. Comments, order, line endings and all other lines stay byte for byte. A malformed line is kept and
// reported (Malformed), never dropped.
//
// A line is identified by its number in the file as it was parsed, counted from 1. A number stays valid after removals;
// appended lines get the numbers that follow.
//
// Formats: fstab(5) and getmntent(3) (octal escapes), crypttab(5).
// The package handles only bytes; it opens no file.
package fstab
