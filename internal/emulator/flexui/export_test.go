package flexui

// Served lists the requests of CoverageMarkdown for the test that sends them.
func Served() [][2]string {
	var all [][2]string
	for _, row := range served {
		all = append(all, [2]string{row.method, row.url})
	}
	return all
}
