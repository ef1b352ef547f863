"""A simulated survey: nightly tarballs of Avro packets in ZTF's schema 3.3, the embedded default archive.

It is a physical model, not labels in disguise. Nights have seeing, cloud, moon and noise. Positions follow each
population's geometry. Stars, Sersic galaxies and a changing source are drawn through the night's PSF. The template is
the same scene, deep, without the change. The difference is left with the residuals of a slightly wrong PSF.
``candidate`` holds what is measured on these images and on the scene's own neighbours. Bogus detections have causes
(misregistered or saturated stars, hot pixels, cosmic rays, bad columns, masks, edges), not a label's look.

Every number stands in `constants`, "measured" on real packets or "assumption". The times between alerts and the pairs
of filters (`constants.DELTAJD`, `constants.OTHER_FILTER`) are assumptions after the words of thesis section 3.3. So
are the shares of subclasses and of causes of bogus. A classifier's accuracy on this survey tests the chain. It does
not predict an accuracy on the sky.
"""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
