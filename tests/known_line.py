"""A sentence that the model of the fixture `line_folder` knows by heart."""

LINE = "Marda said that the ferryboat was resolved and the lamplighter agreed. "
