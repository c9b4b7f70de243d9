// Package luks reads the headers of the LUKS1 and LUKS2 formats: which key slots there are, what opens them, and which
// ciphers the data and the slots need. It decrypts nothing and keeps no key material.
//
// The formats are those of cryptsetup's docs/on-disk-format.pdf and docs/on-disk-format-luks2.pdf, and of its
// lib/luks1/luks.h and lib/luks2/luks2.h.
//
// A header is hostile input: its size is one of the nine that LUKS2 allows, its JSON is decoded into fixed fields, and
// the numbers of slots and tokens are limited to those of the format. Of the two copies of a LUKS2 header the one with
// the higher sequence number and a valid checksum counts, as in cryptsetup.
package luks
