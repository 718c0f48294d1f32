package problem

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
)

// Reason returns err without the layers that repeat the name of a file, the URL
// of a request, or the address of a listener: the sentence around it names that
// already, and a URL's query may hold a token. What says more than the name, such
// as "dial tcp 10.0.0.1:3128: connect: connection refused" about a proxy, stays.
func Reason(err error) error {
	for {
		var path *fs.PathError
		var link *os.LinkError
		var request *url.Error
		switch {
		case errors.As(err, &path):
			err = path.Err
		case errors.As(err, &link):
			err = link.Err
		case errors.As(err, &request):
			err = request.Err
		default:
			// Not below other layers: in a net.OpError it belongs to what stays.
			switch outer := err.(type) {
			case *os.SyscallError:
				err = outer.Err
			case *net.OpError:
				if outer.Op != "listen" {
					return err
				}
				err = outer.Err
			default:
				return err
			}
		}
	}
}
