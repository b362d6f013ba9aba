package main

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

// check is one named check; its body panics when something doesn't hold.
type check struct {
	name string
	body func(*kit)
}

// runChecks runs the checks whose name contains part, tells each result, ends with the counts and
// returns the process's exit status.
func runChecks(suite string, k *kit, checks []check, part string) int {
	passed, failed := 0, 0
	for _, c := range checks {
		if !strings.Contains(c.name, part) {
			continue
		}
		start := time.Now()
		word := "ok  "
		if failure := outcome(k, c); failure != nil {
			failed++
			word = "FAIL"
			fmt.Println(failure)
		} else {
			passed++
		}
		fmt.Printf("%s  %s (%d ms)\n", word, c.name, time.Since(start).Milliseconds())
	}
	fmt.Printf("%s: %d passed, %d failed\n", suite, passed, failed)
	if failed > 0 || passed == 0 {
		return 1
	}
	return 0
}

func outcome(k *kit, c check) (failure any) {
	defer func() {
		if r := recover(); r != nil {
			failure = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	k.ctx = ctx
	c.body(k)
	return nil
}

func that(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func equal(expected, actual any, what string) {
	if !reflect.DeepEqual(expected, actual) {
		panic(fmt.Sprintf("%s: expected %v, got %v", what, expected, actual))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func get[T any](value T, err error) T {
	must(err)
	return value
}
