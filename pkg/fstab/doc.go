// Package fstab spells /etc/fstab and /etc/crypttab: it reads their lines, answers what a line names, and changes single
// fields of it.
//
// Contract. Parsing and rendering without a change gives back the same bytes, whatever they are. A change of one field
// changes that field and, where the fields stand in columns made of spaces, the run of spaces behind it, so that the next
// column stays where it was; comments, order, line ends and all other lines stay byte for byte. A line which is not
// understood is kept and reported (Malformed), never dropped.
//
// Lines are named by their number in the file as it was parsed, counted from 1. A number stays valid across removals;
// appended lines get the numbers that follow.
//
// Formats: fstab(5) and getmntent(3) (octal escapes), crypttab(5).
// The package only handles bytes; it opens no file.
package fstab
