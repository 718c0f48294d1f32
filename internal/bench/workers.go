package main

import (
	"context"
	"fmt"
)

func workers(ctx context.Context, binary string) error {
	return fmt.Errorf("not yet")
}
