// franz-go against the broker at BOOTSTRAP. Arguments: BOOTSTRAP [PART-OF-A-CHECK'S-NAME].
package main

import "os"

func main() {
	part := ""
	if len(os.Args) > 2 {
		part = os.Args[2]
	}
	checks := append(adminChecks(), dataChecks()...)
	os.Exit(runChecks("go", newKit(os.Args[1]), append(checks, topicLifeChecks()...), part))
}
