//go:build !linux

package media

import (
	"errors"
	"net"
	"time"
)

func keepArrivals(*net.UDPConn) error { return errors.ErrUnsupported }

func arrivedAt([]byte) (time.Time, bool) { return time.Time{}, false }
