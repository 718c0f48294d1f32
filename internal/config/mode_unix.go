//go:build !windows

package config

import "io/fs"

// tooOpen reports whether others may read or write the file.
func tooOpen(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
