package boot

import "bytes"

// NextDisk returns boot code (bytes 0 to 439 of LBA 0) for a disk that must not boot yet: it starts the next disk.
//
// A protective MBR has the signature 55AA, so a BIOS jumps to its code, and zeros hang the machine. INT 18h alone is
// not enough, because SeaBIOS and others treat all hard disks as one boot device and then continue with the network. So
// the code searches: above the drive in DL, it starts the first drive that has the signature and some code, with that
// drive in DL. If there is none, it prints a message and calls INT 18h. It only searches upwards, so two such disks do
// not loop.
//
//	0000  cli; xor ax,ax; mov ss,ax; mov sp,0x7c00; mov ds,ax; mov es,ax; sti; cld
//	000e  mov si,sp; mov di,0x600; mov cx,256; rep movsw; jmp 0:0x61d	out of the next sector's way
//	001d  test dl,0x80; jnz 0024; mov dl,0x7f							not a hard disk: start with the first
//	0024  inc dl; cmp dl,0x80; jb 0055; cmp dl,0x90; jae 0055			sixteen disks at most
//	0030  mov ax,0x0201; mov bx,0x7c00; mov cx,1; xor dh,dh				sector 0
//	003b  push dx; int 0x13; pop dx; jc 0024
//	0041  cmp word [0x7dfe],0xaa55; jne 0024; cmp byte [0x7c00],0; je 0024
//	0050  jmp 0:0x7c00
//	0055  mov si,0x66b													the text below
//	0058  lodsb; test al,al; jz 0066; mov ah,0x0e; mov bx,7; int 0x10; jmp 0058
//	0066  int 0x18
//	0068  hlt; jmp 0068
func NextDisk() []byte {
	code := []byte("\xfa\x31\xc0\x8e\xd0\xbc\x00\x7c\x8e\xd8\x8e\xc0\xfb\xfc" +
		"\x89\xe6\xbf\x00\x06\xb9\x00\x01\xf3\xa5\xea\x1d\x06\x00\x00" +
		"\xf6\xc2\x80\x75\x02\xb2\x7f" +
		"\xfe\xc2\x80\xfa\x80\x72\x2a\x80\xfa\x90\x73\x25" +
		"\xb8\x01\x02\xbb\x00\x7c\xb9\x01\x00\x30\xf6" +
		"\x52\xcd\x13\x5a\x72\xe3" +
		"\x81\x3e\xfe\x7d\x55\xaa\x75\xdb\x80\x3e\x00\x7c\x00\x74\xd4" +
		"\xea\x00\x7c\x00\x00" +
		"\xbe\x6b\x06\xac\x84\xc0\x74\x09\xb4\x0e\xbb\x07\x00\xcd\x10\xeb\xf2" +
		"\xcd\x18\xf4\xeb\xfd" +
		"migrate-init: this disk is not ready to boot, and no disk after it can be booted.\r\n\x00")
	return append(code, make([]byte, bootNTMagic-len(code))...)
}

// isNextDisk reports whether a boot sector holds the code of NextDisk.
func isNextDisk(lba0 []byte) bool { return bytes.HasPrefix(lba0, NextDisk()) }
